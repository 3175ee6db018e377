// PostgreSQL's JDBC driver, by its documentation: https://jdbc.postgresql.org/documentation/use/
import java.io.FileWriter;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.SQLWarning;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

public class Jdbc {
    static final Map<String, String> SQL = Map.of(
        "read", "SELECT 1 AS one",
        "refused", "DELETE FROM customers",
        "write", "UPDATE customers SET credit_limit = credit_limit + ? WHERE id = ?");

    public static void main(String[] args) throws Exception {
        Map<String, String> env = System.getenv();
        String url = "jdbc:postgresql://" + env.get("PGHOST") + ":" + env.get("PGPORT") + "/" + env.get("PGDATABASE")
            + "?sslmode=" + env.getOrDefault("PGSSLMODE", "require");
        String given = args.length > 1 ? args[1] : null;
        try (Connection connection = DriverManager.getConnection(url, env.get("PGUSER"), env.get("PGPASSWORD"))) {
            System.out.println(run(connection, args[0], given));
        }
    }

    static String run(Connection connection, String scenario, String given) {
        String rows = "null", state = null, message = null;
        List<String> notices = new ArrayList<>();
        boolean ok = false;
        try (PreparedStatement statement = connection.prepareStatement(given == null ? SQL.get(scenario) : given)) {
            if (given == null && scenario.equals("write")) {
                statement.setInt(1, 1);
                statement.setInt(2, 3);
            }
            Thread watcher = watch(statement);
            try {
                boolean hasRows = statement.execute();
                rows = hasRows ? rows(statement.getResultSet()) : Integer.toString(statement.getUpdateCount());
                ok = true;
            } finally {
                watcher.interrupt();
                for (SQLWarning w = statement.getWarnings(); w != null; w = w.getNextWarning()) notices.add(quoted(w.getMessage()));
            }
        } catch (SQLException error) {
            state = error.getSQLState();
            message = error.getMessage();
        }
        return "{\"ok\":" + ok + ",\"rows\":" + rows + ",\"sqlstate\":" + quoted(state) + ",\"message\":" + quoted(message)
            + ",\"notices\":[" + String.join(",", notices) + "],\"usable_after\":" + usable(connection) + "}";
    }

    /** The driver adds warnings to the statement while it still executes: they are passed on as they come. */
    static Thread watch(Statement statement) {
        String file = System.getenv("COUNTERSIGN_NOTICE_FILE");
        Thread thread = new Thread(() -> {
            SQLWarning seen = null;
            while (file != null && !Thread.currentThread().isInterrupted()) {
                try {
                    SQLWarning next = seen == null ? statement.getWarnings() : seen.getNextWarning();
                    if (next == null) {
                        Thread.sleep(20);
                        continue;
                    }
                    seen = next;
                    try (FileWriter sink = new FileWriter(file, true)) {
                        sink.write(next.getMessage() + "\n");
                    }
                } catch (InterruptedException | SQLException end) {
                    return;
                } catch (java.io.IOException error) {
                    throw new java.io.UncheckedIOException(error);
                }
            }
        });
        thread.setDaemon(true);
        thread.start();
        return thread;
    }

    static String rows(ResultSet set) throws SQLException {
        List<String> rows = new ArrayList<>();
        int columns = set.getMetaData().getColumnCount();
        while (set.next()) {
            List<String> row = new ArrayList<>();
            for (int column = 1; column <= columns; column++) {
                Object value = set.getObject(column);
                row.add(value instanceof Number ? value.toString() : quoted(value == null ? null : value.toString()));
            }
            rows.add("[" + String.join(",", row) + "]");
        }
        return "[" + String.join(",", rows) + "]";
    }

    static boolean usable(Connection connection) {
        try (Statement statement = connection.createStatement(); ResultSet set = statement.executeQuery("SELECT 1")) {
            return set.next() && set.getInt(1) == 1;
        } catch (SQLException error) {
            return false;
        }
    }

    static String quoted(String text) {
        if (text == null) return "null";
        StringBuilder out = new StringBuilder("\"");
        for (char c : text.toCharArray()) {
            if (c == '"' || c == '\\') out.append('\\').append(c);
            else if (c < 0x20) out.append(String.format("\\u%04x", (int) c));
            else out.append(c);
        }
        return out.append('"').toString();
    }
}
