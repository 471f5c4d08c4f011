"""Reads PostgreSQL as its superuser, and delays loaders."""

import contextlib
from dataclasses import dataclass

import psycopg


@dataclass(frozen=True)
class Loaded:
    """Progress and rows at one moment."""

    windows: int  # completed
    recorded: int  # the rows that they say they have
    entries: int  # the rows that there are
    failed: int  # windows
    last_ledger: int | None


class Database:
    """Opens a connection for each query, so that none blocks a lock or a restart."""

    def __init__(self, url: str):
        self.url = url

    def rows(self, query: str, *values) -> list[tuple]:
        with psycopg.connect(self.url, autocommit=True) as connection:
            cursor = connection.execute(query, values or None)
            return cursor.fetchall() if cursor.description else []

    def value(self, query: str, *values):
        return self.rows(query, *values)[0][0]

    def loaded(self) -> Loaded:
        # One statement is one snapshot.
        return Loaded(
            *self.rows(
                """select count(*) filter (where status = 'completed'),
                    coalesce(sum(entries_processed) filter (where status = 'completed'), 0)::bigint,
                    (select count(*) from contract_data.entries),
                    count(*) filter (where status = 'failed'), max(end_ledger) filter (where status = 'completed')
                from contract_data.ingestion_progress"""
            )[0]
        )

    def windows(self, first: int, last: int) -> list[tuple[int, int, str]]:
        """Start, end and batch of the completed windows inside a range."""
        return self.rows(
            """select start_ledger, end_ledger, batch_id::text from contract_data.ingestion_progress
            where status = 'completed' and start_ledger >= %s and end_ledger <= %s order by start_ledger""",
            first,
            last,
        )

    def uncovered(self, first: int, last: int) -> int:
        """The number of ledgers in a range that no completed window covers."""
        covered = self.value(
            """select coalesce(sum(least(end_ledger, %s) - greatest(start_ledger, %s) + 1), 0)
            from contract_data.ingestion_progress where status = 'completed' and start_ledger <= %s and end_ledger >= %s""",
            last,
            first,
            last,
            first,
        )
        return last - first + 1 - int(covered)

    @contextlib.contextmanager
    def copy_held(self, ledger: int):
        """Blocks every COPY into the partition of a ledger at its first row, until the end of the block."""
        partition = self.value("select contract_data.ensure_partition(%s)", ledger)
        with psycopg.connect(self.url) as connection:
            connection.execute(f"lock table contract_data.{partition} in share mode")
            yield
            connection.rollback()

    def copies_waiting(self) -> int:
        """The number of loads whose COPY waits for a lock."""
        return self.value(
            "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and query like 'copy contract_data.entries%'"
        )

    @contextlib.contextmanager
    def slow_windows(self, seconds: float):
        """Delays the record of every window, until the end of the block."""
        self.rows(
            f"""create function public.e2e_slow() returns trigger language plpgsql as
            $$ begin perform pg_sleep({seconds}); return new; end $$;
            create trigger e2e_slow before insert on contract_data.ingestion_progress for each row
            when (new.status = 'completed') execute function public.e2e_slow()"""
        )
        try:
            yield
        finally:
            self.rows("drop trigger e2e_slow on contract_data.ingestion_progress; drop function public.e2e_slow()")
