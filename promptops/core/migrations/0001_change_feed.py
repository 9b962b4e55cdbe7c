"""The change feed and the trigger functions that several apps' tables use."""

from django.db import migrations

FORWARDS = """
CREATE TABLE core_change (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    project_id bigint NOT NULL,
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX core_change_xid ON core_change (xid);
CREATE INDEX core_change_at ON core_change (at);

-- The argument names the column that holds the project. An UPDATE that moves a row between projects tells both.
CREATE FUNCTION core_note_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP IN ('UPDATE', 'DELETE') THEN
        INSERT INTO core_change (project_id) VALUES ((to_jsonb(OLD) ->> TG_ARGV[0])::bigint);
    END IF;
    IF TG_OP = 'INSERT' OR (TG_OP = 'UPDATE' AND to_jsonb(OLD) -> TG_ARGV[0] <> to_jsonb(NEW) -> TG_ARGV[0]) THEN
        INSERT INTO core_change (project_id) VALUES ((to_jsonb(NEW) ->> TG_ARGV[0])::bigint);
    END IF;
    RETURN NULL;
END $$;

-- For tables that are only ever added to. The owner role may still erase (audited): see docs/permissions.md.
CREATE FUNCTION core_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% on % is refused: its rows never change', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END $$;
"""

BACKWARDS = """
DROP FUNCTION core_refuse_change();
DROP FUNCTION core_note_change();
DROP TABLE core_change;
"""


class Migration(migrations.Migration):
    initial = True
    dependencies: list[tuple[str, str]] = []
    operations = [migrations.RunSQL(FORWARDS, BACKWARDS)]
