"""The roles of sql/bootstrap in a database of one's own, and the secrets that carry their passwords."""

import secrets
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from deployed import Problem
from deployed.stack import Stack

SCRIPT = Path(__file__).parents[2] / "sql" / "bootstrap" / "roles.sql"
OWNER, LOADER = "contract_data_owner", "contract_data_loader"


def make_database(server_url: str, name: str) -> str:
    """A database of that name, if there is none. Returns its URL, as the superuser of the server's."""
    with psycopg.connect(server_url, autocommit=True) as connection:
        if connection.execute("select 1 from pg_database where datname = %s", [name]).fetchone() is None:
            connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
    return server_url.rpartition("/")[0] + f"/{name}"


def bootstrap(psql: str, database_url: str, stack: Stack, reached_as: str = "") -> dict[str, str]:
    """Makes the roles as an administrator would, gives them passwords, and puts these into secrets.

    `reached_as` is HOST:PORT of the database for the functions, where that is another than the URL's. Returns the ARNs of the
    secrets, by role.
    """
    done = subprocess.run([psql, database_url, "-X", "-q", "-f", str(SCRIPT)], capture_output=True, text=True)
    if done.returncode:
        raise Problem(f"{SCRIPT.name} failed: {done.stderr.strip()}")
    url = urlsplit(database_url)
    host, _, port = (reached_as or f"{url.hostname}:{url.port}").rpartition(":")
    arns = {}
    with psycopg.connect(database_url, autocommit=True) as connection:
        for role in (OWNER, LOADER):
            password = secrets.token_hex(16)
            connection.execute(sql.SQL("alter role {} password {}").format(sql.Identifier(role), password))
            value = {"username": role, "password": password, "host": host, "port": int(port), "dbname": url.path[1:]}
            arns[role] = stack.put_secret(f"{stack.name}/{role}", value)
    return arns
