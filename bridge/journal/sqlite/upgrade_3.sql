-- Names of facts that were ever said to be one: a key of either is a key of both, whichever rules are in force.
CREATE TABLE former (
    dest TEXT NOT NULL, fact TEXT NOT NULL, former TEXT NOT NULL, PRIMARY KEY (dest, fact, former)
) WITHOUT ROWID;

-- Retention counts from when a document came: 0 is when it was received. A record is received when it was produced.
ALTER TABLE envelope ADD COLUMN came INTEGER NOT NULL DEFAULT 0;

-- How far each partition of a stream is stored. doubtful: the journal was put back since.
CREATE TABLE position (
    source TEXT NOT NULL, topic TEXT NOT NULL, part INTEGER NOT NULL, next INTEGER NOT NULL,
    doubtful INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (source, topic, part)
) WITHOUT ROWID;
