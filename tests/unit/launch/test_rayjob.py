import json
from importlib.metadata import version

import kubernetes_validate
import pytest
import yaml

from jobs.launch.parcel import pack
from jobs.launch.rayjob import notes, rayjobs
from jobs.launch.rayjob_rules import require_valid
from jobs.launch.yaml_text import documents
from jobs.spec_file import parse_spec
from schemas.errors import SpecError
from tests.submitting import GENERATION, vllm, write_spec

IMAGE = "registry.example/arborist:1"
EVERYTHING = {
    "name": "everything",
    "image": IMAGE,
    "retries": 7,
    "time_limit_s": 86_400.5,
    "environment": {"HF_HUB_OFFLINE": "1", "NCCL_DEBUG": 'a "quoted": word'},
    "kubernetes": {
        "namespace": "research",
        "service_account": "runner",
        "queue": "gpus",
        "priority": "low",
        "gpus_per_node": 4,
        "driver_cpus": 2.5,
        "driver_memory_gib": 24,
        "memory_gib": 100,
        "shared_memory_gib": 20,
        "node_selector": {"pool": "gpu"},
        "accelerator_selectors": {"H100": {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"}},
        "driver_node_selector": {"pool": "steady"},
        "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
        "volumes": {
            "models": {"path": "/models", "claim": "models", "read_only": True},
            "cache": {"path": "/cache", "host": "/mnt/nvme"},
        },
        "secrets": {"AWS_SECRET_ACCESS_KEY": {"name": "s3", "key": "secret"}},
        "keep_s": 60,
        "pending_s": 900,
        "auth": "disabled",
    },
}
SPECS = {
    "small": {"launch": {"image": IMAGE}},
    "everything": {
        "drivers": 2,
        "grace_s": 40,
        "launch": EVERYTHING,
        "engines": {
            "main": vllm(
                gpus=2,
                tensor_parallel=2,
                replicas={"least": 3, "most": 9},
                accelerator="H100",
                labels={"zone": "in(a, b)", "ray.io/market-type": "!spot"},
            )
        },
    },
    "scaling": {
        "launch": {"image": IMAGE, "kubernetes": {"autoscaling": True}},
        "engines": {"main": vllm(replicas={"least": 3, "most": 90})},
    },
}


def rendered(folder, execution):
    return rayjobs(pack(str(write_spec(folder, **execution))))


def pods(job):
    cluster = job["spec"]["rayClusterSpec"]
    return [group["template"] for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"])]


@pytest.fixture(params=SPECS)
def spec(request):
    return SPECS[request.param]


def test_pods_pass_the_schema_of_kubernetes(tmp_path, spec):
    for job in rendered(tmp_path, spec):
        for template in pods(job):
            pod = {"apiVersion": "v1", "kind": "Pod", **template}
            pod["metadata"] = {"name": "one", **template["metadata"]}
            kubernetes_validate.validate(pod, "1.31", strict=True)


def test_what_is_printed_is_what_is_sent(tmp_path, spec):
    jobs = rendered(tmp_path, spec)
    assert list(yaml.safe_load_all(documents(jobs))) == jobs


def test_heads_pod_carries_the_spec_as_the_file_it_starts(tmp_path, spec):
    parcel = pack(str(write_spec(tmp_path, **spec)))
    head = pods(rayjobs(parcel)[0])[0]

    [volume] = [volume for volume in head["spec"]["volumes"] if "downwardAPI" in volume]
    [item] = volume["downwardAPI"]["items"]
    annotation = item["fieldRef"]["fieldPath"].removeprefix("metadata.annotations['")[:-2]
    mounts = head["spec"]["containers"][0]["volumeMounts"]
    [mount] = [mount for mount in mounts if mount["name"] == volume["name"]]
    entrypoint = rayjobs(parcel)[0]["spec"]["entrypoint"]

    carried = head["metadata"]["annotations"][annotation]
    assert parse_spec(yaml.safe_load(carried), name="there") == parcel.spec
    assert entrypoint == f"arborist generate {mount['mountPath']}/{item['path']}"


def test_settings_arrive(tmp_path):
    first, second = rendered(tmp_path, SPECS["everything"])
    metadata, spec = first["metadata"], first["spec"]
    head, worker = pods(first)
    engine = worker["spec"]["containers"][0]
    driver = head["spec"]["containers"][0]
    environment = {one["name"]: one for one in engine["env"]}
    cluster = spec["rayClusterSpec"]
    [group] = cluster["workerGroupSpecs"]

    assert metadata["name"] != second["metadata"]["name"]
    assert metadata["namespace"] == "research"
    assert metadata["labels"]["kueue.x-k8s.io/queue-name"] == "gpus"
    assert metadata["labels"]["kueue.x-k8s.io/priority-class"] == "low"
    assert (spec["backoffLimit"], spec["activeDeadlineSeconds"]) == (7, 86_401)
    assert (spec["ttlSecondsAfterFinished"], spec["preRunningDeadlineSeconds"]) == (60, 900)
    assert cluster["authOptions"] == {"mode": "disabled"}
    assert cluster["rayVersion"] == version("ray")
    assert cluster["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    assert head["spec"]["nodeSelector"] == {"pool": "steady"}
    assert "tolerations" not in head["spec"]
    assert driver["resources"]["limits"] == {"cpu": "2.5", "memory": "24Gi"}
    assert (group["replicas"], group["minReplicas"], group["maxReplicas"]) == (2, 2, 2)
    assert group["labels"] == {"zone": "a", "ray.io/accelerator-type": "H100"}
    assert engine["resources"]["limits"] == {"cpu": "10", "memory": "100Gi", "nvidia.com/gpu": "4"}
    assert engine["image"] == driver["image"] == IMAGE
    assert environment["NCCL_DEBUG"]["value"] == 'a "quoted": word'
    assert environment["AWS_SECRET_ACCESS_KEY"]["valueFrom"] == {
        "secretKeyRef": {"name": "s3", "key": "secret"}
    }
    assert worker["spec"]["nodeSelector"] == {
        "pool": "gpu",
        "nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3",
    }
    assert worker["spec"]["terminationGracePeriodSeconds"] > 40
    assert worker["spec"]["serviceAccountName"] == head["spec"]["serviceAccountName"] == "runner"
    assert [v["emptyDir"] for v in worker["spec"]["volumes"] if "emptyDir" in v] == [
        {"medium": "Memory", "sizeLimit": "20Gi"}
    ]


def test_nodes_follow_the_engines_only_where_they_scale(tmp_path):
    [job] = rendered(tmp_path, SPECS["scaling"])
    cluster = job["spec"]["rayClusterSpec"]
    [group] = cluster["workerGroupSpecs"]

    assert (group["minReplicas"], group["replicas"], group["maxReplicas"]) == (1, 1, 12)
    assert cluster["enableInTreeAutoscaling"] is True
    assert cluster["autoscalerOptions"]["version"] == "v2"


def test_engines_with_other_needs_lie_in_other_groups(tmp_path):
    user, assistant = GENERATION["levels"]
    kubernetes = {"accelerator_selectors": {"L4": {"gpu": "l4"}, "H100": {"gpu": "h100"}}}
    execution = {
        "generation": {"levels": [user | {"engine": "small"}, assistant]},
        "engines": {"main": vllm(accelerator="H100"), "small": vllm(accelerator="L4")},
        "launch": {"image": IMAGE, "kubernetes": kubernetes},
    }
    [job] = rendered(tmp_path, execution)
    groups = job["spec"]["rayClusterSpec"]["workerGroupSpecs"]

    assert {g["template"]["spec"]["nodeSelector"]["gpu"] for g in groups} == {"l4", "h100"}
    assert len({group["groupName"] for group in groups}) == 2
    del kubernetes["accelerator_selectors"]["L4"]
    with pytest.raises(SpecError, match=r"accelerator_selectors.*L4.*small"):
        rendered(tmp_path, execution)


def test_name_has_room_for_what_is_made_of_it(tmp_path):
    launch = {"image": IMAGE, "name": "x" * 40}
    jobs = rendered(tmp_path, {"drivers": 12, "launch": launch})
    names = [job["metadata"]["name"] for job in jobs]

    assert len(set(names)) == 12
    assert max(map(len, names)) <= 47


@pytest.mark.parametrize(
    ("launch", "told"),
    [
        ({"image": None}, "image: missing"),
        ({"image": "two words"}, "two words"),
        ({"kubernetes": {"tolerations": [{"effect": "Never"}]}}, r"tolerations\.0\.effect.*Never"),
        ({"kubernetes": {"tolerations": [{"kay": "x"}]}}, "kay"),
        (
            {"kubernetes": {"volumes": {"Data": {"path": "/d", "claim": "c"}}}},
            "found the name Data",
        ),
        ({"kubernetes": {"volumes": {"d": {"path": "d", "claim": "c"}}}}, r"mountPath"),
        ({"kubernetes": {"volumes": {"d": {"path": "/dev/shm", "claim": "c"}}}}, "/dev/shm twice"),
        (
            {"kubernetes": {"volumes": {"arborist-spec": {"path": "/d", "claim": "c"}}}},
            "arborist-spec twice",
        ),
        ({"kubernetes": {"queue": "no queue"}}, "queue-name: found no queue"),
        ({"kubernetes": {"namespace": "No"}}, "metadata.namespace"),
        ({"kubernetes": {"memory_gib": 8}}, r"16Gi of shared memory.*8 GiB"),
        ({"environment": {"RAY_enable_autoscaler_v2": "1"}}, "the operator's to set"),
        ({"environment": {"A B": "1"}}, "found A B"),
        (
            {
                "environment": {"A": "1"},
                "kubernetes": {"secrets": {"A": {"name": "s", "key": "k"}}},
            },
            "A: found in environment and in",
        ),
    ],
    ids=str,
)
def test_what_would_be_refused_is_told_before(tmp_path, launch, told):
    with pytest.raises(SpecError, match=told):
        rendered(tmp_path, {"launch": {"image": IMAGE} | launch})


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        (("spec", "suspended"), True, "suspended"),
        (("spec", "shutdownAfterJobFinishes"), False, "ttlSecondsAfterFinished"),
        (("spec", "rayClusterSpec", "rayVersion"), "2.40.0", "2.52 or later"),
        (("spec", "rayClusterSpec", "workerGroupSpecs", 0, "maxReplicas"), 0, "between"),
        (("spec", "rayClusterSpec", "headGroupSpec", "rayStartParams", "labels"), "a=b", "labels"),
        (("metadata", "name"), "x" * 48, "at most 47"),
        (("metadata", "name"), "1x", "DNS label"),
    ],
    ids=str,
)
def test_rules_of_the_operator_hold(tmp_path, path, value, told):
    [job] = json.loads(json.dumps(rendered(tmp_path, SPECS["scaling"])))
    require_valid(job)
    *above, last = path
    inner = job
    for part in above:
        inner = inner[part]
    inner[last] = value

    with pytest.raises(SpecError, match=told):
        require_valid(job)


def test_pod_that_the_autoscaler_may_not_restart_is_refused(tmp_path):
    [job] = rendered(tmp_path, SPECS["scaling"])
    pods(job)[1]["spec"]["restartPolicy"] = "Always"
    with pytest.raises(SpecError, match="expected Never with the autoscaler"):
        require_valid(job)


def test_spec_that_kubernetes_cannot_carry_is_refused(tmp_path):
    topics = [{"text": "x" * 1000} for _ in range(250)]
    execution = {"generation": {"roots": {"trees": 1, "topics": topics}}, **SPECS["small"]}
    with pytest.raises(SpecError, match=r"bytes; Kubernetes carries at most"):
        rendered(tmp_path, execution)


def test_notes_tell_what_is_asked_of_the_cluster(tmp_path):
    told = "\n".join(notes(pack(str(write_spec(tmp_path, **SPECS["scaling"])))))
    assert "main: 1 to 12 pods, each with 8 GPUs" in told
    assert "driver_node_selector" in told
