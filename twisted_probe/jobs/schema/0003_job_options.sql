-- What a job says for itself (NAME.job.toml), as JSON; null where it came without.

ALTER TABLE jobs ADD COLUMN options TEXT;
