"""A protected label moves by a merge, a rollback or a break-glass, and in no other way: see docs/review.md.

Every function looks names up in ``public`` alone: else a temporary table could stand in for one of ours.
"""

from django.db import migrations

APPEND_ONLY = (
    "reviews_labelpolicy",
    "reviews_codeowners",
    "reviews_verdict",
    "reviews_checkresult",
    "reviews_release",
)


def append_only_sql(table: str) -> tuple[str, str]:
    return (
        f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table} "
        f"FOR EACH ROW EXECUTE FUNCTION core_refuse_change();",
        f"DROP TRIGGER {table}_append_only ON {table};",
    )


# --- What is asked, by the triggers below and by the application alike ------------------------------------------------

QUESTIONS = """
CREATE FUNCTION reviews_role_rank(in_project bigint, person bigint) RETURNS integer
LANGUAGE sql STABLE SET search_path = public, pg_temp AS $$
    SELECT coalesce(max(array_position(ARRAY['viewer', 'editor', 'reviewer', 'admin', 'owner'], m.role::text)), 0)
    FROM accounts_membership m JOIN accounts_user u ON u.id = m.user_id
    WHERE m.project_id = in_project AND m.user_id = person AND u.is_active
$$;

-- The policy for a label of a prompt that lies in a folder: of the prompt, else of the longest folder, else of the
-- project. No row: nothing was decided, the label is not protected.
CREATE FUNCTION reviews_policy_at(in_project bigint, of_prompt bigint, in_folder text, of_label text)
RETURNS SETOF reviews_labelpolicy LANGUAGE sql STABLE SET search_path = public, pg_temp AS $$
    SELECT newest.* FROM (
        SELECT DISTINCT ON (p.prompt_id, p.folder) p.* FROM reviews_labelpolicy p
        WHERE p.project_id = in_project AND p.label = of_label AND (
            p.prompt_id = of_prompt
            OR (p.prompt_id IS NULL
                AND (p.folder = '' OR p.folder = in_folder OR starts_with(in_folder, p.folder || '/')))
        )
        ORDER BY p.prompt_id, p.folder, p.id DESC
    ) newest
    WHERE NOT newest.withdrawn
    ORDER BY newest.prompt_id IS NULL, length(newest.folder) DESC LIMIT 1
$$;

CREATE FUNCTION reviews_policy_in_force(of_prompt bigint, of_label text) RETURNS SETOF reviews_labelpolicy
LANGUAGE sql STABLE SET search_path = public, pg_temp AS $$
    SELECT policy.* FROM prompts_prompt p, reviews_policy_at(p.project_id, p.id, p.folder, of_label) policy
    WHERE p.id = of_prompt
$$;

CREATE FUNCTION reviews_is_protected(of_prompt bigint, of_label text) RETURNS boolean
LANGUAGE sql STABLE SET search_path = public, pg_temp AS $$
    SELECT coalesce((SELECT protected FROM reviews_policy_in_force(of_prompt, of_label)), false)
$$;

-- The people who answer for a folder: those of the longest folder around it that has any.
CREATE FUNCTION reviews_owners(in_project bigint, in_folder text) RETURNS bigint[]
LANGUAGE sql STABLE SET search_path = public, pg_temp AS $$
    SELECT coalesce((
        SELECT newest.people FROM (
            SELECT DISTINCT ON (o.folder) o.folder, o.people FROM reviews_codeowners o
            WHERE o.project_id = in_project
              AND (o.folder = '' OR o.folder = in_folder OR starts_with(in_folder, o.folder || '/'))
            ORDER BY o.folder, o.id DESC
        ) newest
        WHERE cardinality(newest.people) > 0 ORDER BY length(newest.folder) DESC LIMIT 1
    ), '{}')
$$;

-- A version with all that it came from, not going on at a version that is left out with what only it came from.
CREATE FUNCTION reviews_ancestry(of_version bigint, but bigint) RETURNS SETOF bigint
LANGUAGE sql STABLE SET search_path = public, pg_temp AS $$
    WITH RECURSIVE line (id) AS (
        SELECT of_version WHERE of_version IS NOT NULL
        UNION
        SELECT parent.id FROM line JOIN prompts_promptversion v ON v.id = line.id
        CROSS JOIN LATERAL (VALUES (v.parent_id), (v.merge_parent_id)) parent (id)
        WHERE parent.id IS NOT NULL AND parent.id IS DISTINCT FROM but
    )
    SELECT id FROM line
$$;

-- Who wrote any of what is proposed, or proposed it: of the versions that the candidate came from and what it replaces
-- did not. The history of the latter is only read where a line of the former goes back behind it.
CREATE FUNCTION reviews_authors(of_change bigint) RETURNS SETOF bigint
LANGUAGE sql STABLE SET search_path = public, pg_temp AS $$
    WITH change AS MATERIALIZED (SELECT * FROM reviews_changerequest WHERE id = of_change),
    line (id) AS MATERIALIZED (SELECT a.id FROM change, reviews_ancestry(candidate_id, replaces_id) a (id)),
    proposed (id) AS (
        SELECT candidate_id FROM change
        UNION
        (SELECT id FROM line
         EXCEPT SELECT b.id FROM change, reviews_ancestry(replaces_id, NULL) b (id)
            WHERE (SELECT min(id) FROM line) < (SELECT replaces_id FROM change))
    )
    SELECT author_id FROM change
    UNION SELECT v.author_id FROM proposed JOIN prompts_promptversion v USING (id) WHERE v.author_id IS NOT NULL
    UNION SELECT w.user_id FROM proposed JOIN prompts_versionwriter w ON w.version_id = proposed.id
$$;

-- The verdict of each reviewer that is in effect, and whether it counts: for this candidate, by somebody who has the
-- role now and wrote none of it.
CREATE FUNCTION reviews_verdicts(of_change bigint)
RETURNS TABLE (verdict_id bigint, reviewer_id bigint, kind text, at timestamptz, counts boolean, is_owner boolean)
LANGUAGE sql STABLE SET search_path = public, pg_temp AS $$
    WITH authors AS MATERIALIZED (SELECT a.id FROM reviews_authors(of_change) a (id))
    SELECT newest.id, newest.reviewer_id, newest.kind, newest.at,
           newest.version_id = c.candidate_id AND newest.closure_sha256 = v.closure_sha256
               AND reviews_role_rank(c.project_id, newest.reviewer_id) >= 3
               AND newest.reviewer_id NOT IN (SELECT id FROM authors),
           newest.reviewer_id = ANY (reviews_owners(c.project_id, p.folder))
    FROM reviews_changerequest c
    JOIN prompts_promptversion v ON v.id = c.candidate_id
    JOIN prompts_prompt p ON p.id = c.prompt_id
    JOIN LATERAL (
        SELECT DISTINCT ON (d.reviewer_id) d.* FROM reviews_verdict d
        WHERE d.change_id = c.id AND d.round = c.round
        ORDER BY d.reviewer_id, d.id DESC
    ) newest ON newest.kind <> 'dismiss'
    WHERE c.id = of_change
$$;

-- Whether a version, or something that it includes, includes a label that moves without review.
CREATE FUNCTION reviews_includes_free_label(of_version bigint) RETURNS boolean
LANGUAGE sql STABLE SET search_path = public, pg_temp AS $$
    WITH RECURSIVE line (id) AS (
        SELECT of_version
        UNION
        SELECT coalesce(d.included_version_id, l.version_id) FROM line
        JOIN prompts_promptdependency d ON d.version_id = line.id
        LEFT JOIN prompts_label l ON l.prompt_id = d.included_id AND l.name = d.label
        WHERE coalesce(d.included_version_id, l.version_id) IS NOT NULL
    )
    SELECT EXISTS (
        SELECT FROM line JOIN prompts_promptdependency d ON d.version_id = line.id
        WHERE d.label <> '' AND NOT reviews_is_protected(d.included_id, d.label))
$$;

-- Why a change request cannot be merged; empty when it can.
CREATE FUNCTION reviews_blockers(of_change bigint) RETURNS text[]
LANGUAGE plpgsql STABLE SET search_path = public, pg_temp AS $$
DECLARE
    change reviews_changerequest;
    policy reviews_labelpolicy;
    approvals integer;
    owners integer;
    objections integer;
    last_approval timestamptz;
    found text[] := '{}';
BEGIN
    SELECT * INTO STRICT change FROM reviews_changerequest WHERE id = of_change;
    SELECT * INTO policy FROM reviews_policy_in_force(change.prompt_id, change.label);
    IF change.state NOT IN ('open', 'changes_requested', 'approved') THEN
        found := found || CASE WHEN change.state IN ('draft', 'outdated') THEN change.state::text ELSE 'closed' END;
    END IF;
    IF change.state IN ('draft', 'open', 'changes_requested', 'approved') AND change.replaces_id IS DISTINCT FROM (
        SELECT version_id FROM prompts_label WHERE prompt_id = change.prompt_id AND name = change.label
    ) THEN
        found := found || 'outdated'::text;
    END IF;
    IF EXISTS (SELECT FROM prompts_prompt WHERE id = change.prompt_id AND archived_at IS NOT NULL) THEN
        found := found || 'archived'::text;
    END IF;
    SELECT count(*) FILTER (WHERE v.kind = 'approve'), count(*) FILTER (WHERE v.kind = 'approve' AND v.is_owner),
           count(*) FILTER (WHERE v.kind = 'request_changes'), max(v.at) FILTER (WHERE v.kind = 'approve')
        INTO approvals, owners, objections, last_approval FROM reviews_verdicts(of_change) v WHERE v.counts;
    IF objections > 0 THEN found := found || 'changes_requested'::text; END IF;
    IF policy.protected THEN
        IF approvals < policy.required_approvals THEN found := found || 'approvals'::text; END IF;
        IF policy.owners_required AND owners = 0 THEN found := found || 'owners'::text; END IF;
        IF EXISTS (
            SELECT FROM unnest(policy.checks) wanted (name) WHERE NOT coalesce((
                SELECT r.passed FROM reviews_checkresult r
                WHERE r.change_id = change.id AND r.name = wanted.name AND r.version_id = change.candidate_id
                  AND r.replaces_id IS NOT DISTINCT FROM change.replaces_id
                ORDER BY r.id DESC LIMIT 1), false)
        ) THEN
            found := found || 'checks'::text;
        END IF;
        IF reviews_includes_free_label(change.candidate_id) THEN found := found || 'includes'::text; END IF;
        IF clock_timestamp() < last_approval + make_interval(secs => policy.hold_seconds) THEN
            found := found || 'hold'::text;
        END IF;
    END IF;
    RETURN found;
END $$;
"""
QUESTIONS_BACKWARDS = """
DROP FUNCTION reviews_blockers(bigint);
DROP FUNCTION reviews_includes_free_label(bigint);
DROP FUNCTION reviews_verdicts(bigint);
DROP FUNCTION reviews_authors(bigint);
DROP FUNCTION reviews_ancestry(bigint, bigint);
DROP FUNCTION reviews_owners(bigint, text);
DROP FUNCTION reviews_is_protected(bigint, text);
DROP FUNCTION reviews_policy_in_force(bigint, text);
DROP FUNCTION reviews_policy_at(bigint, bigint, text, text);
DROP FUNCTION reviews_role_rank(bigint, bigint);
"""

# --- Names ------------------------------------------------------------------------------------------------------------

# A slug that a prompt had stays its own, so that nothing else is served under it.
SLUGS = """
CREATE FUNCTION reviews_guard_slug() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT FROM prompts_promptslug s
        WHERE s.project_id = NEW.project_id AND s.slug = NEW.slug AND s.prompt_id <> NEW.id) THEN
        RAISE EXCEPTION 'the slug % is another prompt''s', NEW.slug USING ERRCODE = 'unique_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER reviews_guard_slug BEFORE INSERT OR UPDATE OF slug ON prompts_prompt
    FOR EACH ROW EXECUTE FUNCTION reviews_guard_slug();

-- At commit: a slug that was given up, or whose row was taken away, leads to its prompt all the same.
CREATE FUNCTION reviews_slug_is_kept() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
    owner bigint := CASE TG_TABLE_NAME WHEN 'prompts_prompt' THEN to_jsonb(OLD) ->> 'id'
        ELSE to_jsonb(OLD) ->> 'prompt_id' END;
BEGIN
    IF NOT EXISTS (SELECT FROM prompts_promptslug s WHERE s.prompt_id = owner AND s.slug = OLD.slug)
       AND NOT EXISTS (SELECT FROM prompts_prompt p WHERE p.id = owner AND p.slug = OLD.slug) THEN
        RAISE EXCEPTION 'the slug % stays its prompt''s', OLD.slug USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER reviews_slug_is_kept AFTER UPDATE OF slug ON prompts_prompt
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION reviews_slug_is_kept();
CREATE CONSTRAINT TRIGGER reviews_slug_is_kept AFTER UPDATE OR DELETE ON prompts_promptslug
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION reviews_slug_is_kept();
"""
SLUGS_BACKWARDS = """
DROP TRIGGER reviews_slug_is_kept ON prompts_promptslug;
DROP TRIGGER reviews_slug_is_kept ON prompts_prompt;
DROP TRIGGER reviews_guard_slug ON prompts_prompt;
DROP FUNCTION reviews_slug_is_kept();
DROP FUNCTION reviews_guard_slug();
"""

# --- Labels and their history -----------------------------------------------------------------------------------------

LABELS = """
CREATE FUNCTION reviews_last_move(of_label bigint) RETURNS prompts_labelmove
LANGUAGE sql STABLE SET search_path = public, pg_temp AS $$
    SELECT m FROM prompts_labelmove m WHERE m.label_id = of_label ORDER BY m.at DESC, m.id DESC LIMIT 1
$$;

CREATE FUNCTION reviews_refuse_move(name text) RETURNS void LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'the label % is protected: it moves by a merge, a rollback or a break-glass', name
        USING ERRCODE = 'restrict_violation', CONSTRAINT = 'label_protected';
END $$;

-- Whether a release says that this label goes from here to there next.
CREATE FUNCTION reviews_is_released(of_label bigint, come_from bigint, go_to bigint, by_authority text)
RETURNS boolean LANGUAGE sql STABLE SET search_path = public, pg_temp AS $$
    SELECT EXISTS (
        SELECT FROM reviews_release r WHERE r.label_id = of_label
          AND r.from_version_id IS NOT DISTINCT FROM come_from AND r.to_version_id IS NOT DISTINCT FROM go_to
          AND r.after_move IS NOT DISTINCT FROM (reviews_last_move(of_label)).id
          AND (by_authority IS NULL OR r.authority = by_authority)
    )
$$;

CREATE FUNCTION reviews_was_live(of_label bigint, version bigint) RETURNS boolean
LANGUAGE sql STABLE SET search_path = public, pg_temp AS $$
    SELECT version IS NOT NULL AND EXISTS (
        SELECT FROM prompts_labelmove m WHERE m.label_id = of_label AND m.to_version_id = version)
$$;

CREATE FUNCTION reviews_guard_label() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        IF reviews_is_protected(OLD.prompt_id, OLD.name) THEN PERFORM reviews_refuse_move(OLD.name); END IF;
        RETURN OLD;
    END IF;
    IF TG_OP = 'UPDATE' AND (OLD.id, OLD.project_id, OLD.prompt_id, OLD.name)
        IS DISTINCT FROM (NEW.id, NEW.project_id, NEW.prompt_id, NEW.name) THEN
        RAISE EXCEPTION 'a label stays what it is called, and its prompt''s' USING ERRCODE = 'restrict_violation';
    END IF;
    IF NEW.version_id IS NOT DISTINCT FROM (CASE WHEN TG_OP = 'UPDATE' THEN OLD.version_id END)
       OR NOT reviews_is_protected(NEW.prompt_id, NEW.name) THEN
        RETURN NEW;
    END IF;
    IF TG_OP = 'INSERT' OR NOT (
        reviews_was_live(NEW.id, NEW.version_id) OR reviews_is_released(NEW.id, OLD.version_id, NEW.version_id, NULL)
    ) THEN
        PERFORM reviews_refuse_move(NEW.name);
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER reviews_guard_label BEFORE INSERT OR UPDATE OR DELETE ON prompts_label
    FOR EACH ROW EXECUTE FUNCTION reviews_guard_label();

-- History says what happened: each move begins where the last one ended, and ends where the label stands.
CREATE FUNCTION reviews_guard_move() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
    label prompts_label;
    last prompts_labelmove;
BEGIN
    SELECT * INTO label FROM prompts_label WHERE id = NEW.label_id FOR UPDATE;
    last := reviews_last_move(NEW.label_id);
    IF NEW.from_version_id IS NOT DISTINCT FROM NEW.to_version_id
       OR NEW.from_version_id IS DISTINCT FROM last.to_version_id
       OR NEW.to_version_id IS DISTINCT FROM label.version_id
       OR NEW.id <= last.id OR NEW.at < last.at THEN
        RAISE EXCEPTION 'a move begins where the label stood and ends where it stands'
            USING ERRCODE = 'restrict_violation', CONSTRAINT = 'label_history';
    END IF;
    IF NEW.authority IN ('merge', 'break_glass') THEN
        IF NOT reviews_is_released(label.id, NEW.from_version_id, NEW.to_version_id, NEW.authority) THEN
            PERFORM reviews_refuse_move(label.name);
        END IF;
    ELSIF reviews_is_protected(label.prompt_id, label.name)
          AND NOT (NEW.authority = 'rollback' AND reviews_was_live(label.id, NEW.to_version_id)) THEN
        PERFORM reviews_refuse_move(label.name);
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER reviews_guard_move BEFORE INSERT ON prompts_labelmove
    FOR EACH ROW EXECUTE FUNCTION reviews_guard_move();

-- At commit: where a label stands is in its history.
CREATE FUNCTION reviews_label_has_history() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
    stands bigint;
BEGIN
    SELECT version_id INTO stands FROM prompts_label WHERE id = NEW.id;
    IF FOUND AND stands IS DISTINCT FROM (reviews_last_move(NEW.id)).to_version_id THEN
        RAISE EXCEPTION 'a label moves with a row of its history'
            USING ERRCODE = 'restrict_violation', CONSTRAINT = 'label_history';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER reviews_label_has_history AFTER INSERT OR UPDATE ON prompts_label
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION reviews_label_has_history();

-- What was proposed in place of another version has to be looked at again.
CREATE FUNCTION reviews_outdate() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    UPDATE reviews_changerequest SET state = 'outdated', updated_at = clock_timestamp()
    WHERE prompt_id = NEW.prompt_id AND label = NEW.name AND state IN ('open', 'changes_requested', 'approved')
      AND replaces_id IS DISTINCT FROM NEW.version_id
      -- The one that is being merged is about to say so itself.
      AND NOT EXISTS (
        SELECT FROM reviews_release r WHERE r.change_id = reviews_changerequest.id AND r.label_id = NEW.id
          AND r.to_version_id = NEW.version_id AND r.after_move IS NOT DISTINCT FROM (reviews_last_move(NEW.id)).id);
    RETURN NULL;
END $$;
CREATE TRIGGER reviews_outdate AFTER UPDATE OF version_id ON prompts_label
    FOR EACH ROW WHEN (OLD.version_id IS DISTINCT FROM NEW.version_id) EXECUTE FUNCTION reviews_outdate();

-- Nobody files a prompt away from the rules that protect one of its labels.
CREATE FUNCTION reviews_guard_folder() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
    name text;
    before reviews_labelpolicy;
    after reviews_labelpolicy;
BEGIN
    IF (OLD.id, OLD.project_id) IS DISTINCT FROM (NEW.id, NEW.project_id) THEN
        RAISE EXCEPTION 'a prompt stays in its project' USING ERRCODE = 'restrict_violation';
    END IF;
    FOR name IN SELECT DISTINCT p.label FROM reviews_labelpolicy p WHERE p.project_id = OLD.project_id LOOP
        SELECT * INTO before FROM reviews_policy_at(OLD.project_id, OLD.id, OLD.folder, name);
        CONTINUE WHEN NOT coalesce(before.protected, false);
        SELECT * INTO after FROM reviews_policy_at(NEW.project_id, NEW.id, NEW.folder, name);
        IF before.id IS DISTINCT FROM after.id OR (before.owners_required
            AND reviews_owners(OLD.project_id, OLD.folder) <> reviews_owners(NEW.project_id, NEW.folder)) THEN
            RAISE EXCEPTION 'the label % of this prompt is protected by the rules of its folder', name
                USING ERRCODE = 'restrict_violation', CONSTRAINT = 'folder_protected';
        END IF;
    END LOOP;
    RETURN NEW;
END $$;
CREATE TRIGGER reviews_guard_folder BEFORE UPDATE OF id, project_id, folder ON prompts_prompt
    FOR EACH ROW WHEN ((OLD.id, OLD.project_id, OLD.folder) IS DISTINCT FROM (NEW.id, NEW.project_id, NEW.folder))
    EXECUTE FUNCTION reviews_guard_folder();
"""
LABELS_BACKWARDS = """
DROP TRIGGER reviews_guard_folder ON prompts_prompt;
DROP TRIGGER reviews_outdate ON prompts_label;
DROP TRIGGER reviews_label_has_history ON prompts_label;
DROP TRIGGER reviews_guard_move ON prompts_labelmove;
DROP TRIGGER reviews_guard_label ON prompts_label;
DROP FUNCTION reviews_guard_folder();
DROP FUNCTION reviews_outdate();
DROP FUNCTION reviews_label_has_history();
DROP FUNCTION reviews_guard_move();
DROP FUNCTION reviews_guard_label();
DROP FUNCTION reviews_was_live(bigint, bigint);
DROP FUNCTION reviews_is_released(bigint, bigint, bigint, text);
DROP FUNCTION reviews_refuse_move(text);
DROP FUNCTION reviews_last_move(bigint);
"""


class Migration(migrations.Migration):
    dependencies = [
        ("reviews", "0001_initial"),
        ("prompts", "0004_dependencies"),
        ("core", "0001_change_feed"),
        ("audit", "0002_chain"),
    ]
    operations = [
        *(migrations.RunSQL(*append_only_sql(table)) for table in APPEND_ONLY),
        migrations.RunSQL(QUESTIONS, QUESTIONS_BACKWARDS),
        migrations.RunSQL(SLUGS, SLUGS_BACKWARDS),
        migrations.RunSQL(LABELS, LABELS_BACKWARDS),
    ]
