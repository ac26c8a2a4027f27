"""THE table of public names. A name that is in it is kept for programs; whatever else a module has may change."""

import re
from typing import Final

PUBLIC: Final[dict[str, tuple[str, ...]]] = {
    "secrets_actor": (
        "AccessDenied",
        "Answer",
        "AsyncSecrets",
        "AwsSettings",
        "Backend",
        "BackendFactory",
        "CallContext",
        "CircuitOpen",
        "ConfigurationError",
        "CredentialSource",
        "Credentials",
        "CredentialsError",
        "DaemonClientSettings",
        "DeadlineExceeded",
        "ExitReason",
        "InvalidInput",
        "InvalidParameter",
        "LocalSettings",
        "LogSettings",
        "NewVersion",
        "NoCredentials",
        "Observer",
        "Overloaded",
        "PrefetchSettings",
        "Secret",
        "SecretDeleted",
        "SecretExists",
        "SecretNotFound",
        "SecretValue",
        "Secrets",
        "SecretsError",
        "ServerDown",
        "ServiceError",
        "Settings",
        "StartFailed",
        "StoreError",
        "StoreFailure",
        "Subscription",
        "System",
        "SystemSpec",
        "Throttled",
        "Tracer",
        "Unreachable",
        "VaultSettings",
        "WorkerCrashed",
        "child_spec",
        "errors",
        "events",
        "messages",
        "results",
        "semantics",
        "start",
    ),
    "secrets_actor.errors": (
        "AccessDenied",
        "BackendTimeout",
        "BodyReadFailed",
        "CalledFromWithin",
        "CheckFailed",
        "CircuitOpen",
        "ConfigurationError",
        "ConnectionFailed",
        "CopyUnverified",
        "CredentialsError",
        "CredentialsExpired",
        "DeadlineExceeded",
        "DecryptionFailed",
        "DeliveryFailed",
        "ExpiredToken",
        "ExportDamaged",
        "ExportFileError",
        "ForkedProcess",
        "InvalidAnswer",
        "InvalidInput",
        "InvalidParameter",
        "InvalidRequest",
        "InvalidSecretName",
        "InvalidSecretValue",
        "InvalidSignature",
        "KeyFileError",
        "KeySourceError",
        "LimitExceeded",
        "LocalStoreError",
        "LoginIncomplete",
        "LoginRefused",
        "LoginUnavailable",
        "MetadataServiceError",
        "MissingAccessKey",
        "MissingSecretKey",
        "MissingSecrets",
        "NoActiveNode",
        "NoCredentials",
        "Overloaded",
        "RequestFailed",
        "SecretDeleted",
        "SecretExists",
        "SecretNotFound",
        "SecretsError",
        "ServerDown",
        "ServiceError",
        "StartFailed",
        "StoreDamaged",
        "StoreError",
        "StoreFailure",
        "StoreUnavailable",
        "Throttled",
        "TlsFailed",
        "UnknownMessage",
        "Unreachable",
        "UnrecognizedClient",
        "WorkerCrashed",
        "WrongExportKey",
        "WrongKey",
    ),
    "secrets_actor.messages": (
        "AWSCURRENT",
        "AWSPENDING",
        "AWSPREVIOUS",
        "Answered",
        "Ask",
        "AssociateReplica",
        "CancelRotation",
        "Create",
        "CreateEmpty",
        "CurrentVersions",
        "Delete",
        "DeletePolicy",
        "Describe",
        "DisassociateReplica",
        "Filter",
        "FilterKey",
        "Generated",
        "Get",
        "GetMany",
        "GetPolicy",
        "Invalidate",
        "List",
        "ListPage",
        "ListPolicies",
        "ListVersions",
        "MoveStage",
        "Operation",
        "Put",
        "PutPolicy",
        "RandomPassword",
        "Regenerate",
        "RemoveRegions",
        "Replicate",
        "Request",
        "Restore",
        "Rotate",
        "SecretId",
        "Set",
        "SortBy",
        "StopReplication",
        "Tag",
        "Untag",
        "Update",
        "ValidatePolicy",
    ),
    "secrets_actor.results": (
        "AccountReplicaReceipt",
        "ChangeReceipt",
        "CurrentVersion",
        "DeleteReceipt",
        "Finding",
        "LinkedSecret",
        "MaskedObject",
        "MaskedText",
        "Metric",
        "MetricFamily",
        "MetricKind",
        "MetricSample",
        "Metrics",
        "NamedReceipt",
        "NewVersion",
        "PolicyFinding",
        "PolicyPage",
        "PolicyVerdict",
        "Replica",
        "ReplicaRegion",
        "ReplicationReceipt",
        "ResourcePolicy",
        "RotationRules",
        "Secret",
        "SecretBatch",
        "SecretDescription",
        "SecretPage",
        "SecretValue",
        "SetReceipt",
        "Source",
        "Verdict",
        "VersionBatch",
        "VersionInfo",
        "VersionPage",
        "VersionReceipt",
    ),
    "secrets_actor.semantics": ("Entry", "Records", "Version", "perform"),
    "secrets_actor.events": (
        "AnswerForgotten",
        "Attempt",
        "AuditLogFails",
        "AuditRecordsLost",
        "BreakerClosed",
        "BreakerOpened",
        "CallTrace",
        "CallbackFailed",
        "CallerFacts",
        "ChildRestarted",
        "ChildStartFailed",
        "ChangesFailed",
        "ClockLeapt",
        "ClockSkewed",
        "ConnectionsRefused",
        "CredentialRefused",
        "EventsLost",
        "ExitReason",
        "FileFailed",
        "FileRendered",
        "HandlerFailed",
        "JobStarted",
        "LifecycleEvent",
        "Observer",
        "PrefetchDone",
        "PrefetchFailed",
        "ProcessCrashed",
        "ProcessDisowned",
        "ProcessEnded",
        "ProcessStarted",
        "ReloadRefused",
        "Reloaded",
        "ReleaseFailed",
        "RenewalFailed",
        "ServerNotVerified",
        "StoreMade",
        "SubscriberFailed",
        "SupervisorGaveUp",
        "SupervisorShutDown",
        "TokenReadFailed",
        "TokenRenewed",
        "TokensNotKept",
        "TooManyDisowned",
        "Tracer",
    ),
}

# The public members of each public class: what it adds to its public bases. A program may use them all, so they are
# kept, too. What is internal is a function beside the class, or has a name with an underscore.
_MEMBERS: Final = """
AccountReplicaReceipt: arn replica_arn status
Answer: origin request_id value
AnswerForgotten: request serial
Answered: error result tag value
Ask: reply_to request tag
AssociateReplica: any_organization kind replica_arn role_arn secret_id
AsyncSecrets: ask associate_replica cancel_rotation create delete delete_policy describe disassociate_replica
    for_caller get get_many get_policy invalidate iterate list move_stage policies prefetch put put_policy
    random_password remove_regions replicate request restore retry_on_rotation rotate set stop_replication subscribe
    tag untag update validate_policy versions
Attempt: began ended name origin outcome
AuditLogFails: problem
AuditRecordsLost: count
AwsSettings: access_key auth_method ca_bundle endpoint_url external_id max_attempts profile proxy_url recovery_window
    region retry_mode role_arn role_session_name role_tags secret_key session_duration session_token timeout
    use_dualstack use_fips
Backend: close name perform
BackendFactory: connect credentials diagnose endpoints explains name prepare tells_versions
BreakerClosed: endpoint
BreakerOpened: endpoint pause problem
CallContext: attempts avoid credentials deadline repeated
CallTrace: admitted began caller caller_facts ended operation origin outcome problem secret_id sendings source
CallbackFailed: callback error_type
CallerFacts: facts label
CancelRotation: kind secret_id
ChangeReceipt: arn name version_id
ChangesFailed: code
ChildRestarted: child reason restarts_in_window restarts_total
ChildStartFailed: child reason
ClockLeapt: seconds
ClockSkewed: seconds
ConnectionsRefused: reason
CredentialRefused: asked reason unit
Create: description kind kms_key_id overwrite_replicas replicas secret_id tags token value
CreateEmpty: description kind kms_key_id overwrite_replicas replicas secret_id tags token
CredentialSource: fetch
Credentials: expires_at renew_at
CredentialsError: outage refused
CurrentVersion: arn name version_id
CurrentVersions: kind secret_ids
DaemonClientSettings: address recovery_window timeout
Delete: force kind recovery_window secret_id
DeletePolicy: kind secret_id
DeleteReceipt: arn deletion_date name
Describe: kind secret_id
DisassociateReplica: kind replica_arn secret_id
Entry: accessed_at arn changed_at created_at deleted_at deletion_date described description name stages stages_of tags
    version versions
EventsLost: count
ExitReason: expected
FileFailed: path problem
FileRendered: path what
Filter: key values
FilterKey: ALL DESCRIPTION NAME OWNING_SERVICE PRIMARY_REGION TAG_KEY TAG_VALUE
Finding: check fact remedy verdict
Generated: BYTES PASSWORD of
Get: allow_stale kind max_age refresh secret_id stage version_id
GetMany: kind secret_ids
GetPolicy: kind name secret_id
HandlerFailed: reason
Invalidate: kind secret_id
InvalidRequest: stage_holder
JobStarted: operation serial
LifecycleEvent: process
LinkedSecret: arn message role_arn status
List: include_deleted kind page_size
ListPage: descending filters include_deleted kind next_token page_size sort_by
ListPolicies: kind next_token page_size secret_id
ListVersions: include_deprecated kind next_token page_size secret_id
LocalSettings: account key make partition path recovery_window region
LogSettings: audit_buffer audit_full audit_hits audit_summary_seconds format output
MaskedObject: reveal
MaskedText: reveal
Metric: bounds help kind labels name
MetricFamily: metric samples
MetricKind: COUNTER GAUGE HISTOGRAM
MetricSample: buckets labels sum value
Metrics: families value
MoveStage: kind remove_from secret_id stage to
NamedReceipt: arn name
NewVersion: name new_version_id old_version_id
Operation: writes
PolicyFinding: check reason
PolicyPage: names next_token
PolicyVerdict: findings passed
PrefetchDone: found left_out missed
PrefetchFailed: code subject
PrefetchSettings: names prefixes tags
ProcessCrashed: last_message reason restarts serial supervisor traceback
ProcessDisowned: reason serial
ProcessEnded: reason serial
ProcessStarted: serial
Put: kind secret_id stages token value
PutPolicy: block_public kind policy secret_id
RandomPassword: exclude kind length lowercase numbers punctuation require_each space uppercase
Records: accessed drop_values every find keep new_suffix overdue put_value remove value
Regenerate: generate kind password secret_id token
RemoveRegions: kind regions secret_id
ReloadRefused: mistakes
ReleaseFailed: problem
RenewalFailed: problem
Replica: accessed_at kms_key_id message region status
ReplicaRegion: kms_key_id of region
Replicate: kind overwrite regions secret_id
ReplicationReceipt: arn replicas
Request: kind operation payload secret_id
ResourcePolicy: arn name policy
Restore: kind secret_id
Rotate: immediately kind lambda_arn rules secret_id token
RotationRules: after_days duration schedule
Secret: age arn bytes created_at json name origin reveal source stages stale text value version_id
SecretBatch: errors found
SecretExists: token_used_in
SecretNotFound: stage version_id
SecretDescription: accessed_at account_primary account_replicas arn changed_at created_at deleted_at description
    external_rotation_metadata external_rotation_role_arn is_replica kms_key_id name next_rotation_at owning_service
    primary_region replicas rotated_at rotation_enabled rotation_lambda_arn rotation_rules tags type versions
SecretId: fits is_arn is_managed lanes looks_whole may_mean means
SecretPage: next_token secrets
SecretValue: bytes is_text json reveal text
Secrets: ask associate_replica cancel_rotation create delete delete_policy describe disassociate_replica for_caller
    get get_many get_policy invalidate iterate list move_stage policies prefetch put put_policy random_password
    remove_regions replicate request restore retry_on_rotation rotate set stop_replication subscribe tag untag update
    validate_policy versions
SecretsError: clone code origin request_id retryable token
ServerNotVerified: advice setting
Set: description kind kms_key_id restore_on_set secret_id tags token value
SetReceipt: arn created name version_id
Settings: after_fork aws backend breaker_failures cache_bytes cache_entries call_timeout_seconds daemon daemon_client
    file local log max_pending max_stale_seconds max_workers missing_ttl_seconds prefetch refresh_ahead ttl_jitter
    ttl_seconds vault worker_idle_seconds
SortBy: ACCESSED CHANGED CREATED NAME
Source: BACKEND CACHE
StopReplication: kind secret_id
StoreMade: advice folder sealed_by
SubscriberFailed: error_type secret_id
Subscription: active cancel name
SupervisorGaveUp: child intensity period reason
SupervisorShutDown: child reason
System: address async_secrets configure configure_async metrics running start start_async stop stop_async subscribe
    tree wait wait_async whereis
SystemSpec: system
Tag: kind secret_id tags
TokenReadFailed: problem subject
TokenRenewed: subject
TokensNotKept: advice mount
TooManyDisowned: allowed disowned
Tracer: begin
Untag: keys kind secret_id
Update: description kind kms_key_id secret_id token value
ValidatePolicy: kind policy secret_id
VaultSettings: addresses auth_method auth_mount ca_bundle client_cert client_key iam_server_id idempotency jwt mount
    namespace password proxy_url recovery_window remove_secret_id revoke_on_stop role role_id secret_id
    secret_id_wrapped_path skip_verify sts_region timeout tls_server_name token username write_json
Verdict: FAULT OK SKIPPED WARNING
Version: created_at id made_secret
VersionBatch: errors found
VersionInfo: accessed_at created_at kms_key_ids stages version_id
VersionPage: arn name next_token versions
VersionReceipt: arn name stages version_id
"""
MEMBERS: Final[dict[str, tuple[str, ...]]] = {
    name: tuple(members.split()) for name, members in re.findall(r"^(\w+): (.*(?:\n .*)*)", _MEMBERS, re.M)
}
