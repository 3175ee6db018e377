-- A shop's database, with invented rows.
CREATE TABLE customers (
    id           integer PRIMARY KEY,
    name         text    NOT NULL,
    city         text    NOT NULL,
    credit_limit integer NOT NULL
);
CREATE TABLE orders (
    id          integer PRIMARY KEY,
    customer_id integer NOT NULL REFERENCES customers,
    item        text    NOT NULL,
    amount      integer NOT NULL,
    state       text    NOT NULL
);
INSERT INTO customers VALUES
    (1, 'customer 1', 'Aurora',  500),
    (2, 'customer 2', 'Boreal',  750),
    (3, 'customer 3', 'Cascade', 200),
    (4, 'customer 4', 'Delta',   900);
INSERT INTO orders VALUES
    (101, 1, 'lamp',     45, 'shipped'),
    (102, 2, 'desk',    320, 'open'),
    (103, 3, 'chair',   110, 'open'),
    (104, 3, 'shelf',    80, 'shipped'),
    (105, 4, 'monitor', 260, 'open');
GRANT SELECT, INSERT, UPDATE, DELETE ON customers, orders TO app;
