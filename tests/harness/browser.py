"""The page that verifies, in a real Chromium without a window."""

import base64
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

PAGE = Path(__file__).parents[2] / "src" / "indelible" / "web" / "verify.html"
DRIVER = Path("/usr/bin/chromedriver")
BROWSER = Path("/usr/bin/chromium")
_MARKS = {"proved": "proved", "unproved": "unproved", "WRONG": "refuted", "stated": "stated"}
_WITHHELD = "Object.defineProperty(window, 'crypto', {value: undefined});"
_READ = """
return Array.from(document.querySelectorAll(arguments[0]),
    row => Array.from(row.children, cell => cell.textContent.toWellFormed()))
"""
_AT_ONCE = 40
_EXAMINE = """
const [given, done] = arguments;
const asFile = encoded =>
  new File([Uint8Array.from(atob(encoded), letter => letter.charCodeAt(0))], "evidence.zip");
const verdict = ([encoded, keys]) =>
  examine(asFile(encoded), keys, () => {}).then(found => found.verdict, error => String(error));
Promise.all(given.map(verdict)).then(done);
"""
_OFFLINE = {"offline": True, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0}


class Seen(NamedTuple):
    """What the page says of a file."""

    verdict: str
    claims: list[tuple[str, str]]
    rows: list[list[str]]  # of the table of events, without its head

    def says(self, verdict: str, words: str) -> bool:
        """Whether a claim of this verdict has these words."""
        return any(mark == verdict and words in claim for mark, claim in self.claims)


class Browser:
    """A browser that was opened; use `opened`."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver

    def open(self, url: str | None = None) -> None:
        """Open the page: the file itself, with the network cut, or what a server serves."""
        if url is None:
            self.driver.execute_cdp_cmd("Network.enable", {})
            self.driver.execute_cdp_cmd("Network.emulateNetworkConditions", _OFFLINE)
        self.driver.get(url or PAGE.as_uri())

    def withhold_crypto(self) -> None:
        """Have pages opened from now on find no WebCrypto."""
        self.driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": _WITHHELD})

    def check(self, file: Path, keys: Sequence[str], seconds: float = 60) -> Seen:
        """Give the page a file and keys, and wait for its verdict."""
        driver = self.driver
        driver.execute_script("document.getElementById('result').hidden = true")
        driver.execute_script("document.getElementById('file').value = ''")
        driver.execute_script("document.getElementById('keys').value = arguments[0]", "\n".join(keys))
        driver.find_element(By.ID, "file").send_keys(str(file))
        result = driver.find_element(By.ID, "result")
        WebDriverWait(driver, seconds, poll_frequency=0.03).until(lambda _driver: result.is_displayed())
        return self.seen()

    def verdicts(self, files: Sequence[tuple[bytes, Sequence[str]]]) -> list[str]:
        """What the page's own script makes of files, each with its keys, without a look at what it shows."""
        found: list[str] = []
        for at in range(0, len(files), _AT_ONCE):
            part = files[at : at + _AT_ONCE]
            encoded = [[base64.b64encode(file).decode(), "\n".join(keys)] for file, keys in part]
            found += self.driver.execute_async_script(_EXAMINE, encoded)
        return found

    def seen(self) -> Seen:
        """What the page shows now."""
        claims = [(_MARKS[mark], says) for mark, says in self.driver.execute_script(_READ, "#claims li")]
        rows = self.driver.execute_script(_READ, "#events tr")[1:]
        return Seen(str(self.driver.find_element(By.ID, "verdict").get_attribute("class")), claims, rows)


@contextmanager
def opened() -> Iterator[Browser]:
    """Start a browser with a profile of its own, and end it."""
    with tempfile.TemporaryDirectory(prefix="indelible-chromium-") as profile:
        options = webdriver.ChromeOptions()
        options.binary_location = str(BROWSER)
        for switch in ("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"):
            options.add_argument(switch)
        for switch in ("--no-first-run", "--window-size=1200,1400", f"--user-data-dir={profile}"):
            options.add_argument(switch)
        driver = webdriver.Chrome(options=options, service=Service(str(DRIVER)))
        try:
            yield Browser(driver)
        finally:
            driver.quit()
