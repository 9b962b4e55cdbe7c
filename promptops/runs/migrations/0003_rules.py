"""What ended stays as it ended, and what a run is never changes: held by the database, not only by our code."""

from django.db import migrations

FORWARDS = """
-- The owner role may erase and settle; the application may not. Asked only when a rule is about to be broken.
CREATE FUNCTION runs_is_owner(relation oid) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT pg_has_role(current_user, relowner, 'USAGE') FROM pg_class WHERE oid = relation
$$;

CREATE FUNCTION runs_refuse_unless_owner() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT runs_is_owner(TG_RELID) THEN
        RAISE EXCEPTION '% on % is refused: what ended does not change', TG_OP, TG_TABLE_NAME
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
END $$;

CREATE TRIGGER runs_run_ended BEFORE UPDATE ON runs_run
    FOR EACH ROW WHEN (OLD.status NOT IN ('queued', 'running')) EXECUTE FUNCTION runs_refuse_unless_owner();
CREATE TRIGGER runs_run_delete BEFORE DELETE ON runs_run FOR EACH ROW EXECUTE FUNCTION runs_refuse_unless_owner();

CREATE TRIGGER runs_run_identity
    BEFORE UPDATE OF project_id, prompt_id, version_id, spec_id, endpoint_id, batch_id, parent_id, label, created_at
    ON runs_run FOR EACH ROW
    WHEN ((OLD.project_id, OLD.prompt_id, OLD.version_id, OLD.spec_id, OLD.endpoint_id, OLD.batch_id, OLD.parent_id,
           OLD.label, OLD.created_at)
        IS DISTINCT FROM (NEW.project_id, NEW.prompt_id, NEW.version_id, NEW.spec_id, NEW.endpoint_id, NEW.batch_id,
           NEW.parent_id, NEW.label, NEW.created_at))
    EXECUTE FUNCTION runs_refuse_unless_owner();

-- What went in never changes; what came out is written before the run ends, in the same transaction.
CREATE FUNCTION runs_payload_rules() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (TG_OP = 'DELETE'
        OR (OLD.variables, OLD.messages, OLD.parameters) IS DISTINCT FROM (NEW.variables, NEW.messages, NEW.parameters)
        OR EXISTS (SELECT FROM runs_run WHERE id = OLD.run_id AND status NOT IN ('queued', 'running')))
       AND NOT runs_is_owner(TG_RELID) THEN
        RAISE EXCEPTION '% on % is refused: what ended does not change', TG_OP, TG_TABLE_NAME
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
END $$;
CREATE TRIGGER runs_payload_rules BEFORE UPDATE OR DELETE ON runs_runpayload
    FOR EACH ROW EXECUTE FUNCTION runs_payload_rules();

CREATE TRIGGER runs_attempt_ended BEFORE UPDATE ON runs_attempt
    FOR EACH ROW WHEN (OLD.status <> 'open') EXECUTE FUNCTION runs_refuse_unless_owner();
CREATE TRIGGER runs_attempt_delete BEFORE DELETE ON runs_attempt
    FOR EACH ROW EXECUTE FUNCTION runs_refuse_unless_owner();
"""

BACKWARDS = """
DROP TRIGGER runs_attempt_delete ON runs_attempt;
DROP TRIGGER runs_attempt_ended ON runs_attempt;
DROP TRIGGER runs_payload_rules ON runs_runpayload;
DROP FUNCTION runs_payload_rules();
DROP TRIGGER runs_run_identity ON runs_run;
DROP TRIGGER runs_run_delete ON runs_run;
DROP TRIGGER runs_run_ended ON runs_run;
DROP FUNCTION runs_refuse_unless_owner();
DROP FUNCTION runs_is_owner(oid);
"""


class Migration(migrations.Migration):
    dependencies = [("runs", "0002_partitions")]
    operations = [migrations.RunSQL(FORWARDS, BACKWARDS)]
