-- Each claim has a number of its own: who has lost a lane to a later claim of the same process writes nothing of it.
ALTER TABLE turn ADD COLUMN claim bigint;

-- A person has decided about the lane since it was claimed: nothing more of that claim is sent.
ALTER TABLE turn ADD COLUMN revoked boolean NOT NULL DEFAULT false;

-- Names of facts that were ever said to be one: a key of either is a key of both, whichever rules are in force.
CREATE TABLE former (
    dest text NOT NULL, fact text NOT NULL, former text NOT NULL, PRIMARY KEY (dest, fact, former)
);

-- Retention counts from when a document came: 0 is when it was received. A record is received when it was produced.
ALTER TABLE envelope ADD COLUMN came bigint NOT NULL DEFAULT 0;

-- How far each partition of a stream is stored. doubtful: the journal was put back since.
CREATE TABLE position (
    source text NOT NULL, topic text NOT NULL, part bigint NOT NULL, next bigint NOT NULL,
    doubtful bigint NOT NULL DEFAULT 0, PRIMARY KEY (source, topic, part)
);
