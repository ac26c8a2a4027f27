"""What the clients return: secrets, descriptions, pages, receipts, and the metrics of a system. All of it is read only;
times are UTC."""

from secrets_actor.domain.diagnosis import Finding, Verdict
from secrets_actor.domain.masked import MaskedObject, MaskedText
from secrets_actor.domain.metrics import Metric, MetricFamily, MetricKind, Metrics, MetricSample
from secrets_actor.domain.results import (
    AccountReplicaReceipt,
    ChangeReceipt,
    LinkedSecret,
    NamedReceipt,
    PolicyFinding,
    PolicyPage,
    PolicyVerdict,
    Replica,
    ReplicaRegion,
    ReplicationReceipt,
    ResourcePolicy,
    RotationRules,
    SecretBatch,
    SecretDescription,
    SecretPage,
    VersionInfo,
    VersionPage,
    VersionReceipt,
)
from secrets_actor.domain.secret import DeleteReceipt, NewVersion, Secret, SecretValue, SetReceipt, Source

__all__ = [
    "AccountReplicaReceipt",
    "ChangeReceipt",
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
    "VersionInfo",
    "VersionPage",
    "VersionReceipt",
]
