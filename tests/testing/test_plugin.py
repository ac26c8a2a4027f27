"""The fixtures, in a test suite of somebody else's."""

import subprocess
import sys

import pytest

from tests.examples import EXAMPLES, PAGES

pytest_plugins = ["pytester"]
CONFTEST = 'pytest_plugins = ["secrets_actor.testing.plugin"]'


@pytest.fixture
def suite(pytester: pytest.Pytester) -> pytest.Pytester:
    """A folder of tests that has opted in."""
    pytester.makeconftest(CONFTEST)
    return pytester


def test_the_readmes_example_passes(suite: pytest.Pytester) -> None:
    assert f"`{CONFTEST}`" in PAGES["README.md"]
    suite.makepyfile(EXAMPLES["pytest"])

    suite.runpytest_inprocess("-p", "no:cacheprovider").assert_outcomes(passed=1)


def test_the_fixtures_belong_together_and_are_new_for_each_test(suite: pytest.Pytester) -> None:
    suite.makepyfile(
        """
        import pytest
        import secrets_actor


        @pytest.mark.parametrize("turn", [1, 2])
        def test_fresh(secrets_system, secrets_store, secrets_clock, turn):
            with pytest.raises(secrets_actor.SecretNotFound):
                secrets_system.secrets.get("a")
            secrets_system.secrets.set("a", "v")
            assert secrets_store.version_ids("a")
            assert secrets_store.clock is secrets_clock


        def test_faults(secrets_system, secrets_store):
            secrets_store.put("a", "v")
            secrets_store.fail_next(secrets_actor.Throttled("slow down"))
            with pytest.raises(secrets_actor.Throttled):
                secrets_system.secrets.get("a")


        @pytest.mark.parametrize("secrets_settings", [{"ttl_seconds": 0}])
        def test_settings_for_one_test(secrets_system, secrets_store):
            secrets_store.put("a", "v")
            secrets_system.secrets.get("a")
            secrets_system.secrets.get("a")
            assert secrets_store.calls["get"] == 2


        class TestOverridden:
            @pytest.fixture
            def secrets_settings(self):
                return {"max_workers": 1}

            def test_settings_of_a_class(self, secrets_system):
                assert secrets_system.settings.max_workers == 1
        """
    )

    suite.runpytest_inprocess("-p", "no:cacheprovider").assert_outcomes(passed=5)


def test_the_system_is_stopped_even_if_the_test_fails(suite: pytest.Pytester) -> None:
    suite.makepyfile(
        """
        systems = []

        def test_fails(secrets_system):
            systems.append(secrets_system)
            assert secrets_system.running is False

        def test_stopped():
            assert not systems[0].running
        """
    )

    suite.runpytest_inprocess("-p", "no:cacheprovider").assert_outcomes(passed=1, failed=1)


def test_who_has_not_opted_in_has_no_fixtures_and_loads_nothing(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_it(secrets_system): ...")
    pytester.runpytest_inprocess("-p", "no:cacheprovider").assert_outcomes(errors=1)

    script = "import sys, secrets_actor.testing; print('pytest' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert ran.stdout.strip() == "False"
