"""A browser, from the link that the first start prints to the end of a session."""

from __future__ import annotations

import base64
import re
import subprocess
import sys
import zipfile

import pytest
from playwright.sync_api import expect
from pydicom import dcmread

from node.codes import Alert
from storage.alerts import Alerts
from storage.database import open_engine
from storage.readings import ReaderVerdict, Readings

from ...parts.node import ROOT
from ...parts.processes import ENVIRONMENT, free_ports, show_on_failure
from ...parts.storage_scp import running_storage_scp
from ...storage.house import House, a_file
from ..results.conftest import STUDY_UID
from .conftest import NOW, PASSWORD, an_outline, own_mask, receive_study

ROLES = ("super-resolved-t2wi", "segmentation-t2wi", "segmentation-super-resolved-t2wi", "report")


@pytest.fixture
def node(t2wi, tmp_path):
    """A node that serves the page of an analysed study and has never been started: its link, and its log."""
    port, pacs = free_ports(2)
    house = House(open_engine(f"sqlite:///{tmp_path}/var/index.sqlite"), tmp_path / "var", lambda _: NOW)
    receive_study(house, t2wi, ROLES)
    (tmp_path / "config.toml").write_text(
        f"[web]\nenabled = true\npage = true\nport = {port}\n"
        f'[[remotes]]\nname = "pacs"\nae_title = "PACS"\nhost = "127.0.0.1"\nport = {pacs}\n'
    )
    call = [sys.executable, "-m", "node", "serve", "--config", str(tmp_path / "config.toml"), "--role", "web"]
    log = tmp_path / "node.log"
    show_on_failure("the node", log)
    with log.open("w") as errors:
        process = subprocess.Popen(call, cwd=ROOT, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=errors, text=True)
        line = process.stdout.readline()
        with running_storage_scp(port=pacs):
            yield line.rpartition(" ")[2].strip(), log, house
        process.terminate()
        assert process.wait(30) == 0


def drawn(tab, side):
    """Where the slice of a pane lies, mm, and its contour."""
    pane = tab.locator(f"[data-pane={side}]")
    return float(pane.locator("svg").get_attribute("data-position")), pane.locator("path").get_attribute("d")


def test_from_the_first_link_over_a_study_to_the_end_of_the_session(node, tab):
    link, log, house = node
    tab.goto(link)
    for label in ("Password, at least 12 characters", "The same again"):
        tab.get_by_label(label).fill(PASSWORD)
    tab.get_by_role("button", name="Set it and sign in").press("Enter")
    assert link.rpartition("/")[2] not in log.read_text()

    tab.get_by_label("Patient", exact=True).fill("nobody")
    expect(tab.get_by_text("No study fits.")).to_be_visible()
    assert "patient=nobody" in tab.url
    tab.get_by_label("Patient", exact=True).fill("xiaodong")
    tab.get_by_role("link", name="Wang^XiaoDong").click()

    # Both panes show the tumour; the contour moves with the slider, by the keyboard.
    pictures = tab.locator("svg image[href]")
    expect(pictures).to_have_count(2)
    (left, contour), (right, refined) = drawn(tab, "left"), drawn(tab, "right")
    assert contour
    assert refined
    assert abs(left - right) < 3.6 / 2
    assert tab.locator("[data-pane=left] image").get_attribute("href").partition("?")[2].startswith("centre=")
    tab.get_by_label("Position").focus()
    for _ in range(6):  # steps of the refined series, of which four are one of the acquired
        tab.keyboard.press("ArrowRight")
    moved = re.compile(rf"^(?!{re.escape(f'{left:.2f}')}$)")
    expect(tab.locator("[data-pane=left] svg")).to_have_attribute("data-position", moved)
    expect(tab.locator("[data-pane=left] path")).not_to_have_attribute("d", contour)
    expect(tab.locator("[data-pane=right] svg")).to_have_attribute("data-position", re.compile(r"^"))
    assert drawn(tab, "left")[0] - left == pytest.approx(3.6, abs=0.02)
    tab.get_by_label("Plane").select_option("sagittal")
    expect(tab.locator("[data-pane=left] .at-left")).to_have_text("A")
    tab.get_by_label("Contour").uncheck()
    expect(tab.locator("[data-pane=left] path")).to_have_attribute("d", "")

    tab.get_by_label("rejected").check()
    tab.get_by_role("textbox", name="Comment").fill("<b>too large</b>")
    tab.get_by_role("button", name="Keep it").click()
    expect(tab.locator("#notice")).to_have_text("Your verdict is kept.")
    (said,) = Readings(house.engine).of_study(STUDY_UID)
    assert (said.verdict, said.comment, said.reader) == (ReaderVerdict.REJECTED, "<b>too large</b>", "operator")
    tab.get_by_role("button", name="Analyse again").click()
    expect(tab.locator("#notice")).to_contain_text("Revision 2")
    expect(tab.locator("#live .state").first).to_have_text("receiving")

    # What is being written outlasts the renewal of the part around it.
    tab.get_by_label("also what has arrived").check()
    tab.evaluate("htmx.trigger(document.body, 'changed')")
    expect(tab.get_by_label("also what has arrived")).to_be_checked()

    through_the_node(tab, house)
    tab.get_by_role("button", name="Sign out").click()
    expect(tab.get_by_role("heading", name="Sign in")).to_be_visible()
    tab.go_back()
    expect(tab.get_by_role("heading", name="Sign in")).to_be_visible()


def through_the_node(tab, house):
    """A remote is asked, an alert acknowledged, and what was done stands in the log."""
    Alerts(house.engine).raise_(Alert.DISK_LOW, "/data", "1.5 GB are free")
    tab.get_by_role("link", name="Node", exact=True).click()
    tab.get_by_role("button", name="Ask pacs by C-ECHO").press("Enter")
    expect(tab.locator("#notice")).to_contain_text("pacs answers")
    tab.get_by_text("1 answer", exact=True).click()
    expect(tab.locator("#remotes li")).to_contain_text("operator")
    sections = tab.get_by_role("navigation", name="Pages of the node")
    expect(sections.locator("[aria-current=page]")).to_have_text("Connections and queues")
    sections.get_by_role("link", name="Alerts").click()
    tab.get_by_role("button", name="Acknowledge alert").press("Enter")
    expect(tab.locator("#alerts")).to_contain_text("operator")
    tab.get_by_role("link", name="E-DISK-LOW").click()
    expect(tab.locator("tr:target")).to_contain_text("E-DISK-LOW")
    for name in ("Models", "Machine", "Scanners", "Configuration", "Log of actions"):
        sections.get_by_role("link", name=name).click()
        expect(tab.get_by_role("heading", level=1)).to_contain_text(name)
    for said in ("acknowledgement of an alert", "question to a remote", "verdict", "look at a study", "password set"):
        expect(tab.get_by_role("cell", name=said, exact=True)).to_be_visible()


@pytest.fixture
def signed_in(page, olga, tab):
    """A tab of an operator, at a page in this process."""
    tab.context.add_cookies([{"name": it.name, "value": it.value, "url": olga.url} for it in olga.session.cookies])
    return tab


def dropped(tab, box, path):
    """Drop a file on a box as a person does."""
    transfer = tab.evaluate_handle(
        """([name, data]) => {
            const found = new DataTransfer();
            found.items.add(new File([Uint8Array.from(atob(data), (it) => it.charCodeAt(0))], name));
            return found;
        }""",
        [path.name, base64.b64encode(path.read_bytes()).decode()],
    )
    tab.locator(box).dispatch_event("drop", {"dataTransfer": transfer})


def test_files_are_dropped_on_the_rules_and_an_outline_and_an_archive_are_sent(signed_in, page, t2wi, tmp_path):
    tab, images = signed_in, [frame.path for frame in t2wi.results.plan.stacks[0].frames]
    tab.goto(f"{page.url}/rules")
    dropped(tab, "[data-tries]", images[0])
    verdict = tab.locator("#tried article")
    expect(verdict).to_contain_text("T2WI tra")
    tab.locator("#tried summary").click()
    expect(tab.locator("#tried tr.decides").first).to_contain_text("T2 TSE")
    tab.get_by_label("As in config.toml").fill(
        '[[recognition.rules]]\nname = "long echo"\nfinding = "UNWANTED"\nwhen.te_ms = { min = 90 }\n'
    )
    tab.get_by_role("button", name="See what it would change").click()
    expect(tab.locator("#changes")).to_contain_text("1 of 1 stored studies were looked at")
    expect(verdict).to_contain_text("rule: long echo")

    outline = tmp_path / "edited.dcm"
    outline.write_bytes(an_outline([dcmread(path) for path in images], own_mask()))
    tab.goto(f"{page.url}/studies/{STUDY_UID}")
    tab.get_by_label("DICOM segmentation").set_input_files(outline)
    expect(tab.locator("#notice")).to_contain_text("Dice 1.00")
    expect(tab.locator("#readings")).to_contain_text("own outline")

    with zipfile.ZipFile(tmp_path / "cd.zip", "w") as archive:
        archive.writestr("IMG1", a_file(1, study="1.2.99"))
        archive.writestr("notes.txt", "no DICOM")
    tab.goto(f"{page.url}/upload")
    tab.get_by_label("Files or ZIP archives").set_input_files([tmp_path / "cd.zip"])
    expect(tab.locator("#uploaded")).to_contain_text("notes.txt: not taken")
    expect(tab.locator("#uploaded [data-became=NEW]")).to_contain_text("1 stored")
    expect(tab.locator(".progress")).to_have_text("1 of 1 sent")
