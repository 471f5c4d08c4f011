"""The steps of `make e2e`, in their order in __main__.py. Each asserts what it says; the first that fails ends the run.

    scene.py        what the steps share: the stack, the database, the source, and how they wait and complain
    source.py       a flight-source whose tip the steps move
    database.py     what is in PostgreSQL, and holding it up
    refusing_s3.py  an S3 that refuses to write for a while
    deployment.py   from zips to a stack with a schema
    schedule.py     scheduled runs: the first, two at once, short of time, killed
    events.py       what an operator sends: plan, replay, force, and what is refused
    outages.py      source, password and S3 fail, and come back
    backfill.py     the state machine, beside the schedule
    upgrade.py      other code under a stack that holds data
    proof.py        verify, DuckDB, and what it cost
"""
