"""What ships to start on a cluster: configs that load, a manifest that is none, a batch script that
is rehearsed with commands that only say what they would do.
"""

import os
import signal
import subprocess
from pathlib import Path

import pytest
import yaml

from pipelines.config import load, shipped

FOLDER = Path(__file__).parents[2] / "configs" / "cluster"

SHIMS = {
    # Job steps run here, as what they run.
    "srun": 'while [[ $1 == --* ]]; do shift; done\nexec "$@"',
    "scontrol": "printf 'n1\\nn2\\nn3\\n'",
    "hostname": "echo 192.0.2.7 192.0.2.8",
    # One node for each `ray start` that was seen, two for the one that Slurm starts twice.
    "ray": """
if [[ $1 == status ]]; then
  [[ -e head ]] && echo ' 1 node_a'
  [[ -e rest ]] && printf ' 1 node_b\\n 1 node_c\\n'
  exit 0
fi
[[ $* == *--head* ]] && name=head || name=rest
echo "ray ${#RAY_AUTH_TOKEN} $*" >>said
trap 'echo "$name ended" >>said; exit' TERM
touch $name
while :; do read -r -t 0.1 <>waiting || true; done
""",
    "lilliput": """
echo "lilliput $RAY_ADDRESS $*" >>said
trap 'echo drained >>said; exit 130' TERM
echo up
[[ $* == *quick* ]] && exit 3
while :; do read -r -t 0.1 <>waiting || true; done
""",
}


@pytest.fixture
def batch(tmp_path: Path) -> list[str]:
    """The command of a batch step, in a folder where all that it calls are shims."""
    os.mkfifo(tmp_path / "waiting")
    for name, script in SHIMS.items():
        path = tmp_path / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/bash\n{script}\n")
        path.chmod(0o755)
    return ["bash", str(FOLDER / "slurm.sh"), "sums.yaml"]


def started(batch: list[str], folder: Path, **env: str) -> "subprocess.Popen[str]":
    slurm = {"SLURM_JOB_ID": "4711", "SLURM_JOB_NODELIST": "n[1-3]", "PATIENCE": "30"}
    path = {"PATH": f"{folder / 'bin'}:{os.environ['PATH']}"}
    return subprocess.Popen(
        batch, cwd=folder, env={**os.environ, **slurm, **path, **env}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


@pytest.mark.parametrize("name", ["one_machine", "existing"])
def test_every_cluster_config_loads(name: str) -> None:
    assert load(str(FOLDER / f"{name}.yaml")).models


def test_the_config_for_an_existing_cluster_joins_it_and_writes_elsewhere() -> None:
    config = load(str(FOLDER / "existing.yaml"))
    assert config.cluster.address == "auto"
    assert Path(config.output).is_absolute()


def test_the_manifest_is_a_ray_job_and_no_config_to_run() -> None:
    manifest = yaml.safe_load((FOLDER / "kuberay.yaml").read_text())
    assert (manifest["apiVersion"], manifest["kind"]) == ("ray.io/v1", "RayJob")
    assert not [name for name in shipped() if "kuberay" in name]


def test_every_pod_of_the_manifest_mounts_what_it_names() -> None:
    spec = yaml.safe_load((FOLDER / "kuberay.yaml").read_text())["spec"]["rayClusterSpec"]
    groups = [spec["headGroupSpec"], *spec["workerGroupSpecs"]]
    for pod in (group["template"]["spec"] for group in groups):
        mounts = {m["name"]: m["mountPath"] for c in pod["containers"] for m in c["volumeMounts"]}
        assert mounts == {"shared": "/shared", "shm": "/dev/shm"}
        assert {volume["name"] for volume in pod["volumes"]} == set(mounts)


def test_the_batch_script_is_valid_bash() -> None:
    subprocess.run(["bash", "-n", FOLDER / "slurm.sh"], check=True)


def test_a_term_before_the_time_limit_lets_the_driver_drain_and_ends_ray(
    batch: list[str], tmp_path: Path
) -> None:
    with started(batch, tmp_path) as script:
        assert script.stdout is not None
        assert script.stdout.readline() == "up\n"
        script.send_signal(signal.SIGTERM)
        script.communicate(timeout=60)
    assert script.returncode == 130
    head, rest, driver, drained, *ended = (tmp_path / "said").read_text().splitlines()
    address = "192.0.2.7:24711"
    assert head.startswith("ray 64 start --head --node-ip-address=192.0.2.7 --port=24711 ")
    assert rest == f"ray 64 start --address={address} --block"
    assert driver == f"lilliput {address} run sums.yaml cluster.address=auto"
    assert drained == "drained"
    assert sorted(ended) == ["head ended", "rest ended"]


def test_the_drivers_exit_code_is_the_jobs(batch: list[str], tmp_path: Path) -> None:
    with started([*batch, "quick=1"], tmp_path) as script:
        script.communicate(timeout=60)
    assert script.returncode == 3
    assert "head ended" in (tmp_path / "said").read_text()


def test_nodes_that_do_not_come_up_end_the_job(batch: list[str], tmp_path: Path) -> None:
    (tmp_path / "bin" / "scontrol").write_text("#!/bin/bash\nprintf 'n%s\\n' 1 2 3 4\n")
    with started(batch, tmp_path, PATIENCE="2") as script:
        _, stderr = script.communicate(timeout=60)
    assert script.returncode == 4
    assert "wanted 4 nodes in the cluster at 192.0.2.7:24711 within 2 s" in stderr
    assert "lilliput" not in (tmp_path / "said").read_text()
