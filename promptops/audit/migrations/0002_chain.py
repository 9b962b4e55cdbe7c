"""The hash chain, kept by the database: see models.py."""

from django.db import migrations

FORWARDS = """
CREATE TABLE audit_chain (
    chain bigint PRIMARY KEY,
    number bigint NOT NULL,
    hash bytea NOT NULL
);

-- Fires just before commit (deferred), with the owner's rights: the application's role cannot write links.
CREATE FUNCTION audit_link_event() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    head audit_chain;
    next_hash bytea;
BEGIN
    INSERT INTO audit_chain VALUES (NEW.chain, 0, decode(repeat('00', 32), 'hex')) ON CONFLICT DO NOTHING;
    SELECT * INTO head FROM audit_chain WHERE chain = NEW.chain FOR UPDATE;
    next_hash := sha256(head.hash || convert_to(NEW.payload, 'UTF8'));
    INSERT INTO audit_auditlink (event_id, chain, number, previous_hash, hash)
        VALUES (NEW.id, NEW.chain, head.number + 1, head.hash, next_hash);
    UPDATE audit_chain SET number = head.number + 1, hash = next_hash WHERE chain = NEW.chain;
    RETURN NULL;
END $$;

CREATE CONSTRAINT TRIGGER audit_event_link AFTER INSERT ON audit_auditevent
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION audit_link_event();
CREATE TRIGGER audit_event_append_only BEFORE UPDATE OR DELETE ON audit_auditevent
    FOR EACH ROW EXECUTE FUNCTION core_refuse_change();
CREATE TRIGGER audit_link_append_only BEFORE UPDATE OR DELETE ON audit_auditlink
    FOR EACH ROW EXECUTE FUNCTION core_refuse_change();

DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'promptops_app') THEN
        REVOKE INSERT, UPDATE, DELETE ON audit_auditlink, audit_chain FROM promptops_app;
        REVOKE UPDATE, DELETE ON audit_auditevent FROM promptops_app;
    END IF;
END $$;
"""

BACKWARDS = """
DROP TRIGGER audit_link_append_only ON audit_auditlink;
DROP TRIGGER audit_event_append_only ON audit_auditevent;
DROP TRIGGER audit_event_link ON audit_auditevent;
DROP FUNCTION audit_link_event();
DROP TABLE audit_chain;
"""


class Migration(migrations.Migration):
    dependencies = [("audit", "0001_initial"), ("core", "0001_change_feed")]
    operations = [migrations.RunSQL(FORWARDS, BACKWARDS)]
