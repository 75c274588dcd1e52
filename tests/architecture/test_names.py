"""The four packages have their names to themselves."""

from importlib.metadata import packages_distributions

PACKAGES = ("domain", "projections", "services", "infra")


def test_no_other_installed_distribution_provides_our_package_names() -> None:
    provided = packages_distributions()
    assert provided["fastapi"] == ["fastapi"], "installed distributions are not seen at all"
    assert {name: provided[name] for name in PACKAGES if set(provided.get(name, ())) - {"lethe"}} == {}
