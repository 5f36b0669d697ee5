# The manifests against the schemas of Kubernetes, the patch as it is applied.

manifests() {
    if [ -z "$kubernetes" ]; then
        python3 -m venv "$work/kubernetes"
        "$work/kubernetes/bin/pip" install --quiet kubernetes-validate
        kubernetes=$work/kubernetes
    fi
    "$kubernetes/bin/python3" - "$here/deploy/kubernetes" "$binary" "$work" <<'PYTHON'
import copy, subprocess, sys
import kubernetes_validate, yaml
folder, sidegate, work = sys.argv[1:]
documents = list(yaml.safe_load_all(open(f"{folder}/sidecar.yaml")))
patch = yaml.safe_load(open(f"{folder}/module-volume.yaml"))

def merge(base, change):
    """What the strategic merge does with maps, and with lists whose key is `name`."""
    for key, value in change.items():
        if key == "$patch":
            continue
        if isinstance(value, dict) and isinstance(base.get(key), dict):
            merge(base[key], value)
        elif isinstance(value, list) and isinstance(base.get(key), list):
            for entry in value:
                found = next((i for i, e in enumerate(base[key]) if e["name"] == entry["name"]), None)
                how = entry.pop("$patch", None)
                if how == "delete":
                    del base[key][found]
                elif found is None:
                    base[key].append(entry)
                elif how == "replace":
                    base[key][found] = entry
                else:
                    merge(base[key][found], entry)
        else:
            base[key] = value

deployment = next(d for d in documents if d["kind"] == "Deployment")
patched = copy.deepcopy(deployment)
merge(patched, patch)
spec = patched["spec"]["template"]["spec"]
assert [c["name"] for c in spec["initContainers"]] == ["sidegate"], spec["initContainers"]
assert [v for v in spec["volumes"] if v["name"] == "modules"] == [
    {"name": "modules", "image": {"reference": "registry.example/shop-modules:1.0", "pullPolicy": "IfNotPresent"}}], spec["volumes"]
newest = kubernetes_validate.latest_version()
for version in dict.fromkeys(["1.33", newest]):
    for document in [*documents, patched]:
        kubernetes_validate.validate(document, version, strict=True)
    print(f"- valid in {version}, with the init container and with the volume")
for old in ["1.30", "1.31"]:
    for document in documents:
        kubernetes_validate.validate(document, old, strict=True)
    print(f"- sidecar.yaml valid in {old}")
broken = copy.deepcopy(deployment)
broken["spec"]["template"]["spec"]["initContainers"][1]["startupProb"] = {}
try:
    kubernetes_validate.validate(broken, newest, strict=True)
except kubernetes_validate.ValidationError:
    pass
else:
    sys.exit("a misspelled key was not found")
# What the ConfigMap says is a configuration.
config = next(d for d in documents if d["kind"] == "ConfigMap")["data"]["config.yaml"]
open(f"{work}/configmap.yaml", "w").write(config)
said = subprocess.run([sidegate, "check", "--no-load", "-c", f"{work}/configmap.yaml"], capture_output=True, text=True)
others = [line for line in said.stderr.splitlines() if "/modules/auth.so" not in line]
assert said.returncode in (0, 1) and not others, said.stderr
# Who ends when: the pause before the drain and the drain fit into the grace period.
pause = next(c for c in deployment["spec"]["template"]["spec"]["initContainers"] if c["name"] == "sidegate")["lifecycle"]["preStop"]["sleep"]["seconds"]
drain = int(yaml.safe_load(config)["servers"][0]["graceful_timeout"].rstrip("s"))
grace = deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
assert pause + drain < grace, (pause, drain, grace)
print(f"- pause {pause} s and drain {drain} s end within {grace} s")
PYTHON
}
step 300 "Kubernetes manifests" manifests
