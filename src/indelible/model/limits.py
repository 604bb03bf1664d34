"""Every limit, with its unit in its name. Past a limit comes a clear error; nothing acknowledged is lost."""

from dataclasses import dataclass

KIB = 1 << 10
MIB = 1 << 20
GIB = 1 << 30

# Fixed by the formats, the same for every deployment
TREE_SIZE_MAX = (1 << 63) - 1  # leaves: what every database and the verifiers of others hold in a signed word


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one deployment. Defaults are those of the design; each is configurable."""

    # What arrives
    event_bytes: int = 1 * MIB
    batch_bytes: int = 16 * MIB
    batch_events: int = 10_000
    request_body_bytes: int = 1 * MIB  # calls that are neither batches nor components
    component_bytes: int = 32 * MIB
    config_bytes: int = 1 * MIB
    header_bytes: int = 32 * KIB
    header_seconds: int = 10
    idle_seconds: int = 75  # a connection may wait for its next request
    body_min_bytes_per_second: int = 1 * KIB
    body_seconds: int = 60
    request_bodies_bytes: int = 256 * MIB  # of all bodies over 64 KiB that are arriving at one time
    connections: int = 1_024
    idempotency_key_bytes: int = 255

    # What waits
    pending_append_bytes: int = 64 * MIB
    pending_workspace_fraction: float = 0.25  # the share of what may wait that one workspace may fill
    commit_group_bytes: int = 1 * MIB
    commit_group_events: int = 2_048
    long_polls_per_key: int = 64
    long_poll_seconds: int = 60
    stop_seconds: int = 20

    # What is read
    events_page_events: int = 1_000
    events_page_bytes: int = 8 * MIB
    logs_page: int = 1_000
    range_proof_events: int = 10_000

    # Idempotency
    idempotency_seconds: int = 24 * 3600
    idempotency_keys: int = 50_000_000
    idempotency_keys_in_memory: int = 65_536

    # Counts
    logs_per_workspace: int = 10_000
    views_per_log: int = 100
    versions_page: int = 100  # versions of a view in one answer
    versions_page_bytes: int = 8 * MIB  # of their configurations, or one
    keys_per_workspace: int = 10_000
    workspaces: int = 10_000

    # The clock
    clock_jump_seconds: int = 5
    clock_steady_seconds: int = 10
    clock_forbidden_seconds: int = 24 * 3600

    # Checkpoints
    publish_interval_seconds: float = 1.0

    # Objects that are stored in a bucket
    objects_seconds: float = 20.0  # for one call, retries included
    objects_connect_seconds: float = 3.0
    objects_retries: int = 4

    # The archive
    archive_age_seconds: float = 60.0  # after which an event that is not archived is sealed into a segment
    archive_interval_seconds: float = 5.0  # between two looks at what is to be archived
    archive_segment_events: int = 16_384  # a multiple of 256
    archive_segment_bytes: int = 8 * MIB  # of payload, unless 256 events have more
    archive_events_per_second: float = 20_000.0  # that are sealed and checked, so that live calls go on
    archive_parallel_puts: int = 8
    archive_whole_manifests: int = (
        256  # of so many manifests one names all logs; a reader reads that far back
    )
    trim_after_seconds: int = 0  # archived events older than this leave a database of SQLite; 0: never
    trim_interval_seconds: float = 3600.0  # between two looks at what may leave
    segment_cache_bytes: int = 64 * MIB  # of events that were trimmed, read back from segments
    segment_parallel_reads: int = 4
    archive_object_bytes: int = 1 * GIB  # the events of a segment, inflated, that is read back

    # Signing keys
    keys_per_log: int = 32  # generations, the first included
    key_overlap_seconds: int = 30 * 24 * 3600  # for which a key that was followed signs beside the new one
    signer_seconds: float = 10.0  # for one run of the command that signs
    signer_retry_seconds: float = 5.0  # after a run that failed, until the next one
    signer_output_bytes: int = 4 * KIB

    # Several nodes on one database
    shared_poll_seconds: float = 1.0  # until a node that was not told looks what others appended

    # Looking for what was changed underneath
    fsck_events_per_second: float = 100.0  # that a running server checks again; 0: none
    fsck_differences_per_log: int = 100  # that are listed; all are counted

    # The deployment's log of heads, and witnesses
    heads_interval_seconds: float = 10.0  # how often heads that moved are listed
    heads_batch_events: int = 500  # heads that one commit lists
    witness_policy_bytes: int = 64 * KIB
    witness_seconds: float = 10.0  # one question to a witness, from its connection to its answer's end
    witness_wait_seconds: float = 5.0  # how long a proof waits for cosignatures
    witness_backoff_seconds: float = 60.0  # the longest time until a witness that failed is asked again
    witness_requests: int = 32  # questions to witnesses at one time
    witness_answer_bytes: int = 64 * KIB
    witness_clock_seconds: int = 300  # how far a new cosignature's time may be from ours
    witness_request_bytes: int = 320 * KIB  # what our own witness takes: a proof and a checkpoint

    # The host of views
    component_functions: int = 100_000
    component_sections: int = 20_000  # of the component and all that is nested in it
    component_modules: int = 256
    component_depth: int = 8  # components inside components
    component_function_bytes: int = (
        512 * KIB
    )  # CPython's interpreter loop, in every Python guest, has 417 KiB
    compile_seconds: int = 120
    compile_memory_bytes: int = 2 * GIB
    compiled_cache_bytes: int = 8 * GIB  # on disk; what was not used for longest goes first
    view_memory_bytes: int = 1 * GIB
    view_instances: int = 64  # core instances inside one component
    view_memories: int = 16
    view_tables: int = 64
    view_table_elements: int = 1_000_000
    resident_views_bytes: int = 4 * GIB
    view_stack_bytes: int = 1 * MIB
    fold_batch_events: int = 1_000
    fold_batch_bytes: int = 4 * MIB
    shared_read_bytes: int = 32 * MIB  # events kept for the other views of a log that more than one follows
    fold_batch_seconds: float = 10.0
    fold_fuel_per_batch: int = 2_000_000_000  # an endless loop uses it up well before the seconds above
    query_seconds: float = 5.0
    query_wait_seconds: float = 30.0  # how long a question waits for a replay to reach the head
    query_fuel: int = 50_000_000_000
    answer_bytes: int = 64 * MIB
    query_params: int = 256
    query_params_bytes: int = 8 * KIB
    query_body_bytes: int = 1 * MIB
    refusal_text_bytes: int = 4 * KIB
    snapshot_part_bytes: int = 16 * MIB
    snapshot_bytes: int = 1 * GIB
    snapshot_parts: int = 4_096
    snapshot_every_events: int = 100_000
    snapshot_every_seconds: int = 600
    snapshots_kept: int = 2  # the newest of a version
    snapshots_past: int = 12  # older ones of it, ever further apart
    retired_versions_kept: int = 3  # replaced versions of a view that keep their snapshots
    view_description_bytes: int = 256 * KIB
    view_idle_seconds: int = 900
    fold_threads: int = 2
    fold_threads_reserve: int = 2  # more of them, only for workspaces that have none running
    questions_per_view: int = 256  # waiting ones
    metrics_views: int = 1_000  # views that have metrics of their own: those that were used last
    past_views: int = 64  # states of the past that are held or replayed at once, see `views/past.py`
    past_views_per_workspace: int = 16
    past_idle_seconds: int = 300  # after which a state that nobody asks for is let go
    report_folds: int = 2  # answers with evidence that are folded at one time, each in a view's memory
    report_folds_per_workspace: int = 1
    report_fold_seconds: float = 120.0  # one of them, from its first event to its answer
    report_held_bytes: int = 256 * MIB  # of such answers that are on their way to who asked

    # Notes and proofs that are read, from anyone
    note_bytes: int = 256 * KIB  # 16 post-quantum signatures take about 110 KiB
    note_signatures: int = 64
    tlog_proof_bytes: int = 320 * KIB
    proof_file_bytes: int = 64 * MIB  # a range's proof, its events, a receipt: what `verify` reads whole

    # Evidence: what a file may hold, as it is written and as it is read
    evidence_writers: int = 10_000  # whose names are looked up for one file
    evidence_lookup_events: int = 10_000  # of `_audit`, read for one name where the clock was set back
    evidence_part_bytes: int = 64 * MIB  # a file inside, but for the events
    evidence_events_bytes: int = 1_024 * GIB  # the events, inflated
    evidence_line_bytes: int = 32 * MIB
    evidence_ratio: int = 200  # how many bytes one may inflate to
    report_check_seconds: float = 1800.0  # recomputing a report, by whoever checks it

    # What a client that checks a log remembers and reads
    pin_conflicts: int = 16  # files of evidence kept for one log
    monitored_logs: int = 10_000
    checked_answer_bytes: int = 8 * MIB  # lists of logs and of keys; notes and tiles have bounds of their own
    checked_answer_seconds: float = 30.0  # until all of one answer is there

    # Rates, off by default
    appends_per_second_per_key: int = 0
    queries_per_second_per_key: int = 0
    appends_per_second_per_workspace: int = 0
    queries_per_second_per_workspace: int = 0


DEFAULT_LIMITS = Limits()
