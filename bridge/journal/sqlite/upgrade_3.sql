-- Names of facts that were ever said to be one: a key of either is a key of both, whichever rules are in force.
CREATE TABLE former (
    dest TEXT NOT NULL, fact TEXT NOT NULL, former TEXT NOT NULL, PRIMARY KEY (dest, fact, former)
) WITHOUT ROWID;
