-- Settings that were given for brokers while they ran: for all of them, and for this one.

CREATE TABLE broker_settings (
    scope TEXT NOT NULL CHECK (scope IN ('all', 'own')),
    name  TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (scope, name)
) STRICT, WITHOUT ROWID;
