"""An application that puts what its visitors write into its SQL, as none should: `GET /customer?id=1`.

It connects as the environment says (PGHOST, PGPORT, ...), prints its own port, and serves until it is ended.
"""

import http.server
import urllib.parse

import psycopg


class Application(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
        try:
            status, text = 200, self.rows(query.get("id", ["0"])[0])
        except psycopg.Error as error:
            status, text = 500, f"error: {error}"
        body = f"<html><body><h1>Customer</h1><pre>{text}</pre></body></html>".encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def rows(self, wanted: str) -> str:
        # without parameters psycopg sends a simple query, so that what is stacked behind it runs as well
        with psycopg.connect("", autocommit=True) as connection:
            cursor = connection.execute(f"SELECT name, city FROM customers WHERE id = {wanted}".encode())
            return "\n".join(f"{name}, {city}" for name, city in cursor) if cursor.description else "done"

    def log_message(self, *_: object) -> None:
        pass


with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Application) as server:
    print(server.server_address[1], flush=True)
    server.serve_forever()
