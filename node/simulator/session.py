"""What one simulated examination has in common: identifiers, patient and clock, all drawn from the seed."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import datetime, timedelta

from pydicom import Dataset
from pydicom.uid import UID, generate_uid

UID_ROOT = "1.2.826.0.1.3680043.10.1599."
SIMULATED = "Simulated study of a digital phantom; no patient, not for clinical use"
SIMULATED_CHINESE = "模拟检查：数字体模，非真实患者，不得用于临床"
STUDY_CHINESE = "直肠MR平扫+动态增强"

# Start of each measurement and of the injection, s after the start of the study. The DCE run lies around the
# injection; everything stays on one day because studies start between 08:00 and 16:00.
LOCALIZER_S = 60.0
SAGITTAL_S = 150.0
AXIAL_S = 420.0
DIFFUSION_S = 780.0
INJECTION_S = 1500.0
CAPTURE_S = 2400.0


@dataclass(frozen=True, slots=True)
class Session:
    """One examination on one scanner.

    `scanner` is manufacturer and model; it enters every UID, so the same phantom on two scanners is two studies.
    """

    seed: int
    scanner: str
    started: datetime

    def uid(self, *parts: object) -> UID:
        """A UID under `UID_ROOT` that depends on scanner, seed and `parts` only."""
        # pydicom joins its sources without a separator, which would make one UID of (11, 11) and (111, 1).
        return generate_uid(UID_ROOT, ["\n".join(map(str, (self.scanner, self.seed, *parts)))])

    def time(self, seconds: float, digits: int = 6) -> str:
        """TM value of the moment `seconds` after the start of the study, with `digits` decimals of a second."""
        moment = self.started + timedelta(seconds=seconds)
        fraction = f"{moment.microsecond:06d}"[:digits]
        return moment.strftime("%H%M%S") + (f".{fraction}" if digits else "")

    @property
    def date(self) -> str:
        """DA value of the day of the study."""
        return self.started.strftime("%Y%m%d")

    @property
    def patient_id(self) -> str:
        """Patient ID of the phantom."""
        return f"SIM{self.seed:06d}"


def open_session(seed: int, manufacturer: str, model: str) -> Session:
    """The examination that a seed stands for on a scanner: a day in 2021 to 2024, 08:00 to 16:00."""
    draw = random.Random(seed)
    day = datetime(2021, 1, 1) + timedelta(days=draw.randrange(4 * 365))
    return Session(seed, f"{manufacturer} {model}", day + timedelta(hours=8, seconds=draw.randrange(8 * 3600)))


def study_elements(session: Session, sex: str, chinese: bool) -> Dataset:
    """Patient and study elements (PS3.3 C.7.1.1, C.7.2.1, C.7.2.2) that every instance of the study carries."""
    draw = random.Random(f"patient {session.seed}")
    age = draw.randrange(45, 80)
    elements = Dataset()
    elements.PatientName = f"SIM^{session.seed:06d}"
    elements.PatientID = session.patient_id
    elements.PatientBirthDate = f"{session.started.year - age}0101"
    elements.PatientSex = sex
    elements.PatientAge = f"{age:03d}Y"
    elements.PatientSize = f"{draw.randrange(165, 185) / 100:.2f}"
    elements.PatientWeight = str(draw.randrange(60, 95))
    elements.PatientComments = SIMULATED_CHINESE if chinese else SIMULATED
    elements.StudyInstanceUID = session.uid("study")
    elements.StudyID = str(session.seed)[-16:]
    elements.StudyDate = session.date
    elements.StudyTime = session.time(0)
    elements.StudyDescription = STUDY_CHINESE if chinese else "MR RECTUM W WO CONTRAST (SIMULATED)"
    elements.AccessionNumber = f"A{session.seed:06d}"[-16:]
    elements.ReferringPhysicianName = ""
    elements.FrameOfReferenceUID = session.uid("frame of reference")
    elements.PositionReferenceIndicator = ""
    return elements
