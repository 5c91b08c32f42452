-- Names of facts that were ever said to be one: a key of either is a key of both, whichever rules are in force.
CREATE TABLE former (
    dest text NOT NULL, fact text NOT NULL, former text NOT NULL, PRIMARY KEY (dest, fact, former)
);
