CREATE TABLE hidden_values (
    review TEXT PRIMARY KEY,
    sealed TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE disclosure (
    review TEXT NOT NULL,
    person TEXT NOT NULL,
    mark TEXT NOT NULL,
    known INTEGER NOT NULL,
    comparisons INTEGER NOT NULL,
    PRIMARY KEY (review, person, mark)
) STRICT, WITHOUT ROWID;
