"""Known vulnerabilities of the packages of an environment, by pip-audit; told apart from that nobody could be asked.

    python setup/audit.py SITE_PACKAGES

Ends with 1 where there is one, and with 0 where there is none or no source of advisories is reachable, which it says.
"""

from __future__ import annotations

import json
import subprocess
import sys


def main(packages: str) -> int:
    """Ask, and tell."""
    call = [
        sys.executable,
        "-m",
        "pip_audit",
        "--path",
        packages,
        "--skip-editable",
        "--format",
        "json",
        "--progress-spinner=off",
    ]
    done = subprocess.run(call, capture_output=True, text=True, check=False)
    try:
        found = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        last = (done.stderr.strip().splitlines() or ["it says nothing"])[-1]
        if "connect" in last.lower():
            print(f"no source of advisories is reachable, nothing was audited: {last}")
            return 0
        print(f"pip-audit has failed: {last}", file=sys.stderr)
        return 2
    return told(found)


def told(found: list[dict[str, object]]) -> int:
    """One line a vulnerability, and a last one of how many packages were audited."""
    audited = [it for it in found if "skip_reason" not in it]
    if not audited:
        print(f"no source of advisories is reachable: none of {len(found)} packages was audited")
        return 0
    faults = [(it, each) for it in audited for each in it["vulns"]]  # type: ignore[attr-defined]
    for package, fault in faults:
        mended = ", ".join(fault["fix_versions"]) or "none"
        print(f"{package['name']} {package['version']}: {fault['id']}; mended in {mended}")
    unknown = len(found) - len(audited)
    print(f"{len(audited)} packages audited, {unknown} unknown to the source, {len(faults)} vulnerabilities")
    return 1 if faults else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1]))
