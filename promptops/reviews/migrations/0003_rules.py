"""What a policy, a verdict, a release and a change request may say, and that each is audited: see docs/review.md."""

from django.db import migrations

RULES = """
CREATE FUNCTION reviews_refuse(why text) RETURNS void LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    RAISE EXCEPTION '%', why USING ERRCODE = 'restrict_violation', CONSTRAINT = 'review_rule';
END $$;

-- Times are the database's: nobody dates an approval back to get round the hold.
CREATE FUNCTION reviews_guard_admin_row() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    NEW.at := clock_timestamp();
    IF reviews_role_rank(NEW.project_id, NEW.actor_user_id) < 4 THEN
        PERFORM reviews_refuse('policies and owners are set by an admin of the project');
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER reviews_guard_policy BEFORE INSERT ON reviews_labelpolicy
    FOR EACH ROW EXECUTE FUNCTION reviews_guard_admin_row();
CREATE TRIGGER reviews_guard_owners BEFORE INSERT ON reviews_codeowners
    FOR EACH ROW EXECUTE FUNCTION reviews_guard_admin_row();

CREATE FUNCTION reviews_guard_verdict() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
    change reviews_changerequest;
BEGIN
    SELECT * INTO change FROM reviews_changerequest WHERE id = NEW.change_id FOR NO KEY UPDATE;
    NEW.at := clock_timestamp();
    NEW.round := change.round;
    IF change.state NOT IN ('open', 'changes_requested', 'approved') THEN
        PERFORM reviews_refuse('this change request is not in review');
    END IF;
    IF NEW.version_id <> change.candidate_id OR NEW.closure_sha256 IS DISTINCT FROM
        (SELECT v.closure_sha256 FROM prompts_promptversion v WHERE v.id = change.candidate_id) THEN
        PERFORM reviews_refuse('a verdict is of the candidate as it is');
    END IF;
    IF NEW.kind = 'dismiss' THEN
        IF NEW.actor_user_id <> NEW.reviewer_id AND reviews_role_rank(change.project_id, NEW.actor_user_id) < 4 THEN
            PERFORM reviews_refuse('a verdict is dismissed by whoever gave it, or by an admin');
        END IF;
        RETURN NEW;
    END IF;
    IF NEW.actor_user_id <> NEW.reviewer_id THEN PERFORM reviews_refuse('a verdict is one''s own'); END IF;
    IF reviews_role_rank(change.project_id, NEW.reviewer_id) < 3 THEN
        PERFORM reviews_refuse('a verdict needs the role of a reviewer');
    END IF;
    IF NEW.reviewer_id IN (SELECT * FROM reviews_authors(change.id)) THEN
        PERFORM reviews_refuse('who wrote any of it does not review it');
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER reviews_guard_verdict BEFORE INSERT ON reviews_verdict
    FOR EACH ROW EXECUTE FUNCTION reviews_guard_verdict();

CREATE FUNCTION reviews_guard_release() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
    label prompts_label;
    change reviews_changerequest;
    blockers text[];
BEGIN
    -- In the order in which everybody locks: the change request, then the label.
    IF NEW.change_id IS NOT NULL THEN
        SELECT * INTO change FROM reviews_changerequest WHERE id = NEW.change_id FOR NO KEY UPDATE;
    END IF;
    SELECT * INTO label FROM prompts_label WHERE id = NEW.label_id FOR UPDATE;
    NEW.at := clock_timestamp();
    NEW.after_move := (reviews_last_move(NEW.label_id)).id;
    IF NEW.project_id <> label.project_id OR NEW.from_version_id IS DISTINCT FROM label.version_id
       OR (NEW.change_id IS NOT NULL AND (change.prompt_id, change.label, change.candidate_id)
            IS DISTINCT FROM (label.prompt_id, label.name::varchar, NEW.to_version_id)) THEN
        PERFORM reviews_refuse('a release is of the label as it stands, to what was proposed for it');
    END IF;
    IF NEW.authority = 'merge' THEN
        IF NEW.change_id IS NULL THEN PERFORM reviews_refuse('a merge is of a change request'); END IF;
        blockers := reviews_blockers(NEW.change_id);
        IF cardinality(blockers) > 0 THEN
            RAISE EXCEPTION 'this change request cannot be merged: %', array_to_string(blockers, ', ')
                USING ERRCODE = 'restrict_violation', CONSTRAINT = 'change_blocked';
        END IF;
        IF reviews_role_rank(NEW.project_id, NEW.actor_user_id) < 2 THEN
            PERFORM reviews_refuse('merging needs the role of an editor');
        END IF;
    ELSIF NEW.authority = 'break_glass' THEN
        IF reviews_role_rank(NEW.project_id, NEW.actor_user_id) < 5 OR btrim(NEW.reason) = '' THEN
            PERFORM reviews_refuse('the glass is broken by the project''s owner, who says why');
        END IF;
    ELSE
        PERFORM reviews_refuse('unknown authority');
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER reviews_guard_release BEFORE INSERT ON reviews_release
    FOR EACH ROW EXECUTE FUNCTION reviews_guard_release();

-- At commit: a release was carried out, by the very next move.
CREATE FUNCTION reviews_release_carried_out() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM (SELECT m.* FROM prompts_labelmove m WHERE m.label_id = NEW.label_id
            AND m.id > coalesce(NEW.after_move, 0) ORDER BY m.id LIMIT 1) next
        WHERE next.from_version_id IS NOT DISTINCT FROM NEW.from_version_id
          AND next.to_version_id IS NOT DISTINCT FROM NEW.to_version_id AND next.authority = NEW.authority
    ) THEN
        PERFORM reviews_refuse('a release is carried out in its transaction');
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER reviews_release_carried_out AFTER INSERT ON reviews_release
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION reviews_release_carried_out();

CREATE FUNCTION reviews_guard_change() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN PERFORM reviews_refuse('a change request stays'); END IF;
    IF NOT EXISTS (
        SELECT FROM prompts_prompt p JOIN prompts_promptversion v ON v.prompt_id = p.id
        WHERE p.id = NEW.prompt_id AND p.project_id = NEW.project_id AND v.id = NEW.candidate_id
    ) THEN
        PERFORM reviews_refuse('a candidate is a version of the request''s prompt');
    END IF;
    IF TG_OP = 'INSERT' THEN
        NEW.round := 1;
        IF NEW.state NOT IN ('draft', 'open', 'approved') THEN
            PERFORM reviews_refuse('a change request begins as a draft or open');
        END IF;
        RETURN NEW;
    END IF;
    IF (OLD.id, OLD.project_id, OLD.prompt_id, OLD.number, OLD.label, OLD.author_id, OLD.created_at)
        IS DISTINCT FROM (NEW.id, NEW.project_id, NEW.prompt_id, NEW.number, NEW.label, NEW.author_id, NEW.created_at)
       OR (OLD.state = 'merged' AND (OLD.state, OLD.candidate_id, OLD.replaces_id)
            IS DISTINCT FROM (NEW.state, NEW.candidate_id, NEW.replaces_id)) THEN
        PERFORM reviews_refuse('what was proposed by whom stays, and what was merged');
    END IF;
    IF NEW.state = 'merged' AND OLD.state <> 'merged'
       AND NOT EXISTS (
        SELECT FROM reviews_release r WHERE r.change_id = NEW.id AND r.to_version_id = NEW.candidate_id) THEN
        PERFORM reviews_refuse('a change request is merged by a release');
    END IF;
    NEW.round := OLD.round;
    IF (OLD.candidate_id, OLD.replaces_id) IS DISTINCT FROM (NEW.candidate_id, NEW.replaces_id)
       OR (OLD.state IN ('outdated', 'rejected', 'withdrawn')
            AND NEW.state IN ('open', 'changes_requested', 'approved')) THEN
        NEW.round := OLD.round + 1;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER reviews_guard_change BEFORE INSERT OR UPDATE OR DELETE ON reviews_changerequest
    FOR EACH ROW EXECUTE FUNCTION reviews_guard_change();

-- At commit: each of these rows has its event in the audit chain. Its arguments: the kind of the event's object, the
-- column that is the object's id, and the member of the event's detail that names the row.
CREATE FUNCTION reviews_is_audited() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
    given jsonb := to_jsonb(NEW);
    in_project text := coalesce(given ->> 'project_id',
        (SELECT project_id::text FROM reviews_changerequest WHERE id = (given ->> 'change_id')::bigint));
BEGIN
    IF NOT EXISTS (
        SELECT FROM audit_auditevent e WHERE e.chain = in_project::bigint AND e.target_kind = TG_ARGV[0]
          AND e.target_id = given ->> TG_ARGV[1] AND e.payload::jsonb #>> ARRAY['detail', TG_ARGV[2]] = given ->> 'id'
    ) THEN
        PERFORM reviews_refuse(format('a row of %s is audited in its transaction', TG_TABLE_NAME));
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER reviews_policy_audited AFTER INSERT ON reviews_labelpolicy DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION reviews_is_audited('label_policy', 'id', 'policy');
CREATE CONSTRAINT TRIGGER reviews_owners_audited AFTER INSERT ON reviews_codeowners DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION reviews_is_audited('code_owners', 'id', 'owners');
CREATE CONSTRAINT TRIGGER reviews_verdict_audited AFTER INSERT ON reviews_verdict DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION reviews_is_audited('change', 'change_id', 'verdict');

CREATE FUNCTION reviews_release_audited() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    IF reviews_is_protected((SELECT prompt_id FROM prompts_label WHERE id = NEW.label_id),
                            (SELECT name FROM prompts_label WHERE id = NEW.label_id))
       AND NOT EXISTS (
        SELECT FROM prompts_label l JOIN audit_auditevent e ON e.chain = l.project_id AND e.target_kind = 'prompt'
          AND e.target_id = l.prompt_id::text AND e.payload::jsonb #>> '{detail,move}' = NEW.id::text
        WHERE l.id = NEW.label_id
    ) THEN
        PERFORM reviews_refuse('a move of a protected label is audited in its transaction');
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER reviews_move_audited AFTER INSERT ON prompts_labelmove DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION reviews_release_audited();
"""
BACKWARDS = """
DROP TRIGGER reviews_move_audited ON prompts_labelmove;
DROP FUNCTION reviews_release_audited();
DROP TRIGGER reviews_verdict_audited ON reviews_verdict;
DROP TRIGGER reviews_owners_audited ON reviews_codeowners;
DROP TRIGGER reviews_policy_audited ON reviews_labelpolicy;
DROP FUNCTION reviews_is_audited();
DROP TRIGGER reviews_guard_change ON reviews_changerequest;
DROP FUNCTION reviews_guard_change();
DROP TRIGGER reviews_release_carried_out ON reviews_release;
DROP FUNCTION reviews_release_carried_out();
DROP TRIGGER reviews_guard_release ON reviews_release;
DROP FUNCTION reviews_guard_release();
DROP TRIGGER reviews_guard_verdict ON reviews_verdict;
DROP FUNCTION reviews_guard_verdict();
DROP TRIGGER reviews_guard_owners ON reviews_codeowners;
DROP TRIGGER reviews_guard_policy ON reviews_labelpolicy;
DROP FUNCTION reviews_guard_admin_row();
DROP FUNCTION reviews_refuse(text);
"""


class Migration(migrations.Migration):
    dependencies = [("reviews", "0002_protection")]
    operations = [migrations.RunSQL(RULES, BACKWARDS)]
