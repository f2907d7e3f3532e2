"""Flags, variables and defaults, in that order."""

from __future__ import annotations

import pytest

from deploy.local.accrual_sim.settings import read_settings
from deploy.local.accrual_sim.simulator import Behaviour


def test_the_defaults_are_those_of_the_documentation() -> None:
    settings = read_settings([], {})
    assert (settings.host, settings.port, settings.database_uri, settings.log_format) == ("127.0.0.1", 8090, None, "auto")
    assert settings.behaviour == Behaviour(calculation_delay_s=1.0, rate_limit_per_minute=6000, auto_register=False)
    assert settings.database_role is None


def test_variables_are_read() -> None:
    settings = read_settings(
        [],
        {
            "RUN_ADDRESS": "localhost:1234",
            "DATABASE_URI": "postgres://u@h/d",
            "DATABASE_ROLE": "galen_accrual-sim_app",
            "ACCRUAL_SIM_CALCULATION_DELAY_S": "0.5",
            "ACCRUAL_SIM_RATE_LIMIT": "60",
            "ACCRUAL_SIM_AUTO": "true",
            "LOG_FORMAT": "json",
        },
    )
    assert (settings.host, settings.port, settings.database_uri, settings.log_format) == ("localhost", 1234, "postgres://u@h/d", "json")
    assert settings.behaviour == Behaviour(0.5, 60, True)
    assert settings.database_role == "galen_accrual-sim_app"


def test_flags_win_over_variables() -> None:
    variables = {
        "RUN_ADDRESS": "localhost:1",
        "DATABASE_URI": "postgres://variable",
        "ACCRUAL_SIM_AUTO": "1",
        "ACCRUAL_SIM_RATE_LIMIT": "x",
    }
    flags = ["-a", "[::1]:2", "-d", "postgresql://flag", "--no-auto-register", "--rate-limit", "3", "--calculation-delay", "0"]
    settings = read_settings(flags, variables)
    assert (settings.host, settings.port, settings.database_uri) == ("::1", 2, "postgresql://flag")
    assert settings.behaviour == Behaviour(0, 3, False)


def test_empty_variables_count_as_not_set() -> None:
    assert read_settings([], dict.fromkeys(("RUN_ADDRESS", "DATABASE_URI", "ACCRUAL_SIM_AUTO", "LOG_FORMAT"), "")) == read_settings([], {})


def test_an_address_without_host_is_on_loopback() -> None:
    assert read_settings(["-a", ":8090"], {}).host == "127.0.0.1"


@pytest.mark.parametrize(
    ("flags", "variables", "named"),
    [
        (["-a", "nowhere"], {}, "RUN_ADDRESS"),
        ([], {"RUN_ADDRESS": "localhost:99999"}, "RUN_ADDRESS"),
        (["-d", "mysql://secret"], {}, "DATABASE_URI"),
        (["--rate-limit", "0"], {}, "ACCRUAL_SIM_RATE_LIMIT"),
        (["--calculation-delay", "nan"], {}, "ACCRUAL_SIM_CALCULATION_DELAY_S"),
        (["--calculation-delay", "-1"], {}, "ACCRUAL_SIM_CALCULATION_DELAY_S"),
        ([], {"ACCRUAL_SIM_AUTO": "perhaps"}, "ACCRUAL_SIM_AUTO"),
        ([], {"LOG_FORMAT": "xml"}, "LOG_FORMAT"),
    ],
)
def test_a_wrong_value_ends_the_process_with_its_name(
    flags: list[str], variables: dict[str, str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        read_settings(flags, variables)
    assert ended.value.code == 2
    message = capsys.readouterr().err
    assert named in message
    assert "secret" not in message


def test_the_database_uri_is_not_shown() -> None:
    assert "password" not in repr(read_settings(["-d", "postgres://user:password@h/d"], {}))
