"""SQLAlchemy on a cluster: the dialects `nexus://` and `nexus+aio://`.

create_engine("nexus://[a:15475,b:15475]/?read=nearest")

They are SQLite's own dialect. What differs: a schema is a prefix of the names in the
one replicated database, schema statements belong to transactions, and savepoints work.
"""
