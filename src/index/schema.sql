-- Derived from records, row for row. Strings for enumerations are the words used in records.
CREATE TABLE meta (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- The latest revision of each item.
CREATE TABLE item (
    ordinal INTEGER PRIMARY KEY CHECK (ordinal >= 0),
    key TEXT NOT NULL UNIQUE,
    change INTEGER NOT NULL UNIQUE CHECK (change > 0),
    seq INTEGER NOT NULL CHECK (seq >= 1),
    record BLOB NOT NULL CHECK (length(record) = 32),
    account TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('present', 'gone')),
    name TEXT NOT NULL,
    taken_local TEXT NOT NULL,
    taken_offset_s INTEGER,
    taken_source TEXT NOT NULL CHECK (taken_source IN ('exif', 'video', 'google', 'upload', 'none')),
    make TEXT,
    model TEXT,
    remote TEXT NOT NULL
) STRICT;

-- Its files; position is the place in the record's list.
CREATE TABLE part (
    ordinal INTEGER NOT NULL REFERENCES item (ordinal),
    position INTEGER NOT NULL CHECK (position >= 0),
    role INTEGER NOT NULL CHECK (role IN (0, 1, 2)),
    name TEXT NOT NULL,
    sha256 BLOB NOT NULL CHECK (length(sha256) = 32),
    sha1 BLOB NOT NULL CHECK (length(sha1) = 20),
    size INTEGER NOT NULL CHECK (size >= 0),
    verdict TEXT NOT NULL
        CHECK (verdict IN ('matches-upload', 'size-matches', 'differs-expected', 'unproven')),
    PRIMARY KEY (ordinal, position)
) STRICT, WITHOUT ROWID;

CREATE INDEX part_by_blob ON part (sha256, size);

-- Every record that was applied, so that a start finds those that were not.
CREATE TABLE record (
    sha256 BLOB PRIMARY KEY CHECK (length(sha256) = 32),
    ordinal INTEGER NOT NULL REFERENCES item (ordinal),
    seq INTEGER NOT NULL CHECK (seq >= 1)
) STRICT, WITHOUT ROWID;

-- Bookkeeping that does not come from records and may be lost.
CREATE TABLE failure (
    key TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    reason TEXT NOT NULL,
    first_at TEXT NOT NULL,
    last_at TEXT NOT NULL,
    attempts INTEGER NOT NULL CHECK (attempts > 0)
) STRICT, WITHOUT ROWID;

CREATE TABLE run (
    id INTEGER PRIMARY KEY,
    started TEXT NOT NULL,
    ended TEXT NOT NULL,
    outcome TEXT NOT NULL,
    listed INTEGER NOT NULL,
    archived INTEGER NOT NULL,
    quarantined INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    bytes INTEGER NOT NULL
) STRICT;
