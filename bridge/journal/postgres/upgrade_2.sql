-- What was accepted before amounts were kept is not known.
ALTER TABLE fact ADD COLUMN amount text NOT NULL DEFAULT '?';
CREATE TABLE memory (name text PRIMARY KEY, value text NOT NULL, at bigint NOT NULL);
CREATE TABLE blocked (hash bytea PRIMARY KEY, at bigint NOT NULL);
