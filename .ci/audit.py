"""Asks pip-audit which of the pinned packages have known vulnerabilities, and says so in lines.

    python .ci/audit.py PIP_AUDIT CONSTRAINTS

One pin is asked for first: where nobody answers, or who answers does not know it, there is no network or no index of
vulnerabilities, and the audit is skipped with a word (exit code 0). A vulnerability that a newer version has mended is
a fault (exit code 1): raise the pin. One that nobody has mended yet is told (exit code 0).
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

PROBE_SECONDS, SECONDS = 30, 240


def asked(auditor: str, pins: list[str], seconds: int) -> list[dict[str, object]] | None:
    """What pip-audit knows of these pins, one entry a package; None where it could not find out."""
    with tempfile.TemporaryDirectory() as scratch:
        requirements, answer = Path(scratch, "pins.txt"), Path(scratch, "answer.json")
        requirements.write_text("\n".join(pins) + "\n", encoding="utf-8")
        words = [auditor, "--requirement", str(requirements), "--no-deps", "--disable-pip", "--progress-spinner", "off"]
        words += ["--timeout", "10", "--format", "json", "--output", str(answer)]
        try:
            subprocess.run(words, capture_output=True, check=False, timeout=seconds)
            found: list[dict[str, object]] = json.loads(answer.read_text(encoding="utf-8"))["dependencies"]
        except (OSError, subprocess.TimeoutExpired, ValueError, KeyError):
            return None
        return found


def main() -> int:
    """The exit code."""
    auditor, constraints = sys.argv[1:]
    pins = [line for line in Path(constraints).read_text(encoding="utf-8").splitlines() if "==" in line]
    probe = asked(auditor, pins[:1], PROBE_SECONDS)
    if probe is None or all("skip_reason" in package for package in probe):
        print("audit: skipped, the index of vulnerabilities cannot be reached")
        return 0
    found = asked(auditor, pins, SECONDS)
    if found is None:
        print("audit: skipped, the index of vulnerabilities did not answer for all packages")
        return 0
    mended = 0
    for package in found:
        for flaw in package.get("vulns", []):  # type: ignore[attr-defined]
            newer = ", ".join(flaw["fix_versions"])
            mended += bool(newer)
            remedy = f"mended in {newer}: raise the pin" if newer else "no version mends it yet"
            print(f"audit: {package['name']} {package['version']}: {flaw['id']}, {remedy}")
    unknown = sum("skip_reason" in package for package in found)
    print(
        f"audit: {len(found)} packages, {mended} flaws that a newer version mends, {unknown} packages not known there"
    )
    return 1 if mended else 0


if __name__ == "__main__":
    sys.exit(main())
