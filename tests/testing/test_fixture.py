"""The pytest fixture `counterfoil_server`, and the examples of the pages that explain it, in a pytest of their own."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from counterfoil.generator import generate, write
from counterfoil.model import Kind, Scope
from counterfoil.periods import BillingPeriod
from counterfoil.testing import PARTNER

pytest_plugins = ["pytester"]
DOCS = Path(__file__).parent.parent.parent / "docs"
PAGES = ("testing-your-software.md", "testing-your-client.md")
FENCED = re.compile(r"<!-- run -->\n```python\n(.*?)```", re.DOTALL)
EXAMPLES = [example for page in PAGES for example in FENCED.findall((DOCS / page).read_text(encoding="utf-8"))]
# The examples are run on what the page tells to generate, and on nothing else.
[INVOICE_ARGUMENTS, USAGE_ARGUMENTS] = re.findall(
    r"^\$ counterfoil generate --kind (\w+) --line-items (\d+) .* -o (\S+)$",
    (DOCS / PAGES[0]).read_text(encoding="utf-8"),
    re.MULTILINE,
)
TIMEOUT_S = 120
# Other packages' plugins take longer to load than ours takes to work.
WITHOUT = ("cacheprovider", "hypothesispytest", "schemathesis", "xdist")
ALONE = [word for name in WITHOUT for word in ("-p", f"no:{name}")]


def test_each_test_gets_the_one_server_empty(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        import urllib.request
        import pytest

        LINE = {"PartnerId": "0e195b37-4574-4539-bc42-0e539b9684c0", "UsageDate": "2026-11-01T00:00:00Z",
                "BillingPreTaxTotal": 1, "BillingCurrency": "EUR"}
        QUERY = "provider=onetime&invoicelineitemtype=usagelineitems&currencycode=EUR&period=current"
        urls = set()

        @pytest.mark.parametrize("turn", range(3))
        def test_it(counterfoil_server, turn):
            counterfoil_server.travel("2026-11-21")
            request = urllib.request.Request(
                counterfoil_server.url + "/v1/invoices/unbilled/lineitems?" + QUERY,
                headers=counterfoil_server.headers("partner-center"),
            )
            assert b'"totalCount":0' in urllib.request.urlopen(request).read()
            counterfoil_server.publish(LINE, period="2026-11")
            assert b'"totalCount":1' in urllib.request.urlopen(request).read()
            urls.add(counterfoil_server.url)
            assert len(urls) == 1
    """)
    result = pytester.runpytest_subprocess(*ALONE, timeout=TIMEOUT_S)
    result.assert_outcomes(passed=3)


def test_whoever_does_not_ask_for_it_pays_nothing(pytester: pytest.Pytester) -> None:
    """Pytest loads the plugin in every run of everybody who has Counterfoil installed."""
    pytester.makepyfile("""
        import sys

        def test_it():
            assert "counterfoil.testing.plugin" in sys.modules
            assert not {"starlette", "duckdb", "pyarrow", "counterfoil.testing.server"} & sys.modules.keys()
    """)
    result = pytester.runpytest_subprocess(*ALONE, timeout=TIMEOUT_S)
    result.assert_outcomes(passed=1)


def test_a_test_that_fails_leaves_no_server_behind(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        def test_it(counterfoil_server):
            print("folder", counterfoil_server.data)
            raise SystemExit
    """)
    result = pytester.runpytest_subprocess(*ALONE, timeout=TIMEOUT_S)
    [line] = [line for line in result.outlines if line.startswith("folder ")]
    assert result.ret != 0
    assert not Path(line.removeprefix("folder ")).exists()


def test_the_pages_have_examples() -> None:
    assert len(EXAMPLES) >= 5


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_the_examples_of_the_pages_run(pytester: pytest.Pytester, number: int) -> None:
    usage, invoice = Scope.unbilled(BillingPeriod(2026, 11), "EUR"), Scope.billed("G016907411")
    for scope, (kind, count, name) in ((invoice, INVOICE_ARGUMENTS), (usage, USAGE_ARGUMENTS)):
        write(generate(Kind(kind), int(count), partner=PARTNER, scope=scope), pytester.path / name)
    if "def test_" in EXAMPLES[number]:
        pytester.makepyfile(EXAMPLES[number])
        result = pytester.runpytest_subprocess(*ALONE, timeout=TIMEOUT_S)
        result.assert_outcomes(passed=EXAMPLES[number].count("def test_"))
    else:
        command = [sys.executable, "-W", "error", "-c", EXAMPLES[number]]
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
        assert done.returncode == 0, done.stderr
