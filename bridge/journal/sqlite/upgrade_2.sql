-- What was accepted before amounts were kept is not known.
ALTER TABLE fact ADD COLUMN amount TEXT NOT NULL DEFAULT '?';
CREATE TABLE memory (name TEXT PRIMARY KEY, value TEXT NOT NULL, at INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE blocked (hash BLOB PRIMARY KEY, at INTEGER NOT NULL) WITHOUT ROWID;
