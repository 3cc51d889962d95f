-- Derived from records, row for row. Strings for enumerations are the words used in records.
CREATE TABLE meta (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- The latest revision of each item.
CREATE TABLE item (
    ordinal INTEGER PRIMARY KEY CHECK (ordinal >= 0),
    key TEXT NOT NULL UNIQUE,
    -- The archive's own key under which it was adopted.
    formerly TEXT UNIQUE,
    -- The media key by which its folder was called where it was adopted.
    known_as TEXT,
    seq INTEGER NOT NULL CHECK (seq >= 1),
    record BLOB NOT NULL CHECK (length(record) = 32),
    account TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('present', 'gone')),
    name TEXT NOT NULL,
    since_ms INTEGER NOT NULL,
    added_ms INTEGER NOT NULL,
    remote TEXT NOT NULL,
    dedup TEXT
) STRICT;

-- What the view shows of the latest revision of each item, packed; `change` counts arrivals.
CREATE TABLE feed (
    ordinal INTEGER PRIMARY KEY REFERENCES item (ordinal),
    change INTEGER NOT NULL UNIQUE CHECK (change > 0),
    doc BLOB NOT NULL
) STRICT;

-- Earlier revisions of items: what the view knew of them, as JSON. What was recorded under a former key has numbers
-- below zero, which sort before all others.
CREATE TABLE past_item (
    ordinal INTEGER NOT NULL,
    seq INTEGER NOT NULL CHECK (seq <> 0),
    doc TEXT NOT NULL,
    PRIMARY KEY (ordinal, seq)
) STRICT, WITHOUT ROWID;

CREATE INDEX item_by_hint ON item (known_as) WHERE known_as IS NOT NULL;
CREATE INDEX item_by_dedup ON item (dedup) WHERE dedup IS NOT NULL;

-- Its files; position is the place in the record's list.
CREATE TABLE part (
    ordinal INTEGER NOT NULL REFERENCES item (ordinal),
    position INTEGER NOT NULL CHECK (position >= 0),
    role INTEGER NOT NULL CHECK (role IN (0, 1, 2)),
    version INTEGER NOT NULL CHECK (version >= 1),
    latest INTEGER NOT NULL CHECK (latest IN (0, 1)),
    name TEXT NOT NULL,
    sha256 BLOB NOT NULL CHECK (length(sha256) = 32),
    sha1 BLOB NOT NULL CHECK (length(sha1) = 20),
    size INTEGER NOT NULL CHECK (size >= 0),
    verdict TEXT NOT NULL
        CHECK (verdict IN ('matches-upload', 'size-matches', 'differs-expected', 'unproven')),
    PRIMARY KEY (ordinal, position)
) STRICT, WITHOUT ROWID;

CREATE INDEX part_by_blob ON part (sha256, size);
CREATE INDEX part_by_sha1 ON part (sha1);

-- The latest revision of each album.
CREATE TABLE album (
    key TEXT PRIMARY KEY,
    -- The archive's own key under which it was adopted.
    formerly TEXT UNIQUE,
    change INTEGER NOT NULL UNIQUE CHECK (change > 0),
    seq INTEGER NOT NULL CHECK (seq >= 1),
    record BLOB NOT NULL CHECK (length(record) = 32),
    account TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('present', 'gone')),
    kind TEXT NOT NULL CHECK (kind IN ('own', 'shared', 'bundle', 'partner', 'library')),
    title TEXT NOT NULL,
    count INTEGER,
    modified_ms INTEGER
) STRICT, WITHOUT ROWID;

-- Its items in its order, by key: of an item that is not archived the key is all there is.
CREATE TABLE album_item (
    album TEXT NOT NULL REFERENCES album (key),
    position INTEGER NOT NULL CHECK (position >= 0),
    key TEXT NOT NULL,
    PRIMARY KEY (album, position)
) STRICT, WITHOUT ROWID;

CREATE INDEX album_by_item ON album_item (key);

-- Every revision of every album, as JSON; what the view shows of it. Those under a former key are numbered as items' are.
CREATE TABLE album_revision (
    album TEXT NOT NULL,
    seq INTEGER NOT NULL CHECK (seq <> 0),
    doc TEXT NOT NULL,
    PRIMARY KEY (album, seq)
) STRICT, WITHOUT ROWID;

-- Every album record that was applied, under the key that it has itself.
CREATE TABLE album_record (
    sha256 BLOB PRIMARY KEY CHECK (length(sha256) = 32),
    album TEXT NOT NULL,
    seq INTEGER NOT NULL CHECK (seq >= 1)
) STRICT, WITHOUT ROWID;

-- Every record that was applied, so that a start finds those that were not.
CREATE TABLE record (
    sha256 BLOB PRIMARY KEY CHECK (length(sha256) = 32),
    ordinal INTEGER NOT NULL REFERENCES item (ordinal),
    seq INTEGER NOT NULL CHECK (seq >= 1),
    -- Whether it was recorded under the item's former key.
    former INTEGER NOT NULL CHECK (former IN (0, 1))
) STRICT, WITHOUT ROWID;

-- Bookkeeping that does not come from records and may be lost.
CREATE TABLE failure (
    account TEXT NOT NULL,
    key TEXT NOT NULL,
    name TEXT NOT NULL,
    reason TEXT NOT NULL,
    first_at TEXT NOT NULL,
    last_at TEXT NOT NULL,
    attempts INTEGER NOT NULL CHECK (attempts > 0),
    PRIMARY KEY (account, key)
) STRICT, WITHOUT ROWID;

-- `account`: as whoever runs the archive calls it; who signs in is not known before. Empty where there is but one.

CREATE TABLE run (
    id INTEGER PRIMARY KEY,
    account TEXT NOT NULL,
    started TEXT NOT NULL,
    ended TEXT NOT NULL,
    outcome TEXT NOT NULL,
    listed INTEGER NOT NULL,
    archived INTEGER NOT NULL,
    quarantined INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    bytes INTEGER NOT NULL
) STRICT;

-- A listing of a whole library. `ranges` are Google's own counts then, as JSON; `agrees`: they and the
-- listing said the same number; `thin`: its rows told hardly more than keys.
CREATE TABLE listing (
    account TEXT NOT NULL,
    id INTEGER NOT NULL,
    started TEXT NOT NULL,
    ended TEXT,
    listed INTEGER NOT NULL DEFAULT 0,
    counted INTEGER,
    agrees INTEGER NOT NULL DEFAULT 0 CHECK (agrees IN (0, 1)),
    ranges TEXT,
    thin INTEGER NOT NULL DEFAULT 0 CHECK (thin IN (0, 1)),
    PRIMARY KEY (account, id)
) STRICT, WITHOUT ROWID;

-- What Google showed last of each item: in which listing, in which month it counts it, and a mark of what
-- the row said, so that a change is noticed.
CREATE TABLE sighting (
    account TEXT NOT NULL,
    key TEXT NOT NULL,
    listing INTEGER NOT NULL,
    month TEXT NOT NULL,
    mark INTEGER NOT NULL,
    counter INTEGER,
    excluded TEXT,
    PRIMARY KEY (account, key)
) STRICT, WITHOUT ROWID;
