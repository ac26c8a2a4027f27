"""What the clients return: secrets, descriptions, pages, receipts, and the metrics of a system. All of it is read only;
times are UTC."""

from secrets_actor.domain.masked import MaskedObject
from secrets_actor.domain.metrics import Metric, MetricFamily, MetricKind, Metrics, MetricSample
from secrets_actor.domain.results import (
    ChangeReceipt,
    NamedReceipt,
    PolicyFinding,
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
from secrets_actor.domain.secret import DeleteReceipt, NewVersion, Secret, SecretInfo, SecretValue, SetReceipt, Source

__all__ = [
    "ChangeReceipt",
    "DeleteReceipt",
    "MaskedObject",
    "Metric",
    "MetricFamily",
    "MetricKind",
    "MetricSample",
    "Metrics",
    "NamedReceipt",
    "NewVersion",
    "PolicyFinding",
    "PolicyVerdict",
    "Replica",
    "ReplicaRegion",
    "ReplicationReceipt",
    "ResourcePolicy",
    "RotationRules",
    "Secret",
    "SecretBatch",
    "SecretDescription",
    "SecretInfo",
    "SecretPage",
    "SecretValue",
    "SetReceipt",
    "Source",
    "VersionInfo",
    "VersionPage",
    "VersionReceipt",
]
