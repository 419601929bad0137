"""Small synthetic studies (MR, SEG, SR, PR headers) in six scripts, and identifiers that ask for what is in them."""

from __future__ import annotations

import random
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

from pydicom import Dataset
from pydicom.datadict import dictionary_VR
from pydicom.multival import MultiValue
from pynetdicom.sop_class import (
    PatientRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelFind,
)

from .synthetic_headers import a_date, a_time, code, instance, put, uid

Word = tuple[str, ...]  # the same in each component group: alphabetic, ideographic, phonetic


@dataclass(frozen=True)
class Script:
    """Names and a description of one script, and the character sets that hold them."""

    character_sets: tuple[str | list[str], ...]
    families: tuple[Word, ...]
    given: tuple[Word, ...]
    description: str


SCRIPTS = (
    Script(
        ("ISO_IR 100", "ISO_IR 192"),
        (("Müller",), ("Muller",), ("Lefèvre",), ("Núñez García",), ("Sørensen",), ("O'Brien",), ("de la Cruz",)),
        (("Jürgen",), ("Jurgen",), ("Zoë",), ("José",), ("Åse",), ("Seán",), ("Inés",)),
        "IRM étage pelvien",
    ),
    Script(
        ("ISO_IR 144", "ISO_IR 192"),
        (("Иванов",), ("Соколова",), ("Петров",), ("Фёдорова",), ("Жуков",)),
        (("Пётр",), ("Анна",), ("Олег",), ("Юлия",)),
        "МРТ малого таза",
    ),
    Script(
        ("ISO_IR 126", "ISO_IR 192"),
        (("Παπαδόπουλος",), ("Γεωργίου",), ("Αθανασίου",), ("Κωνσταντίνου",), ("Ζαχαρίας",)),
        (("Νίκος",), ("Μαρία",), ("Ελένη",), ("Άρης",)),
        "Μαγνητική πυέλου",
    ),
    Script(
        ("GB18030", "ISO_IR 192"),
        (("Wang", "王", "wáng"), ("Zhang", "张", "zhāng"), ("Chen", "陈", "chén"), ("Li", "李", "lǐ")),
        (("XiaoDong", "小东", "xiǎodōng"), ("Li", "丽", "lì"), ("Jie", "洁", "jié"), ("Na", "娜", "nà")),
        "盆腔MRI平扫",
    ),
    Script(
        (["", "ISO 2022 IR 87"], "ISO_IR 192"),
        (("Yamada", "山田", "やまだ"), ("Suzuki", "鈴木", "すずき"), ("Katou", "加藤", "かとう")),
        (("Tarou", "太郎", "たろう"), ("Hanako", "花子", "はなこ"), ("Ken", "健", "ケン")),
        "骨盤MRI 単純",
    ),
    Script(
        (["", "ISO 2022 IR 149"], "ISO_IR 192"),
        (("Hong", "洪", "홍"), ("Kim", "金", "김"), ("Park", "朴", "박"), ("Lee", "李", "이")),
        (("Gildong", "吉洞", "길동"), ("Minho", "敏浩", "민호"), ("Jiyeong", "智英", "지영")),
        "골반 MRI",
    ),
)


def entities(seed: int, studies: int) -> list[Dataset]:
    """Instances of that many studies, the same for the same seed; a patient has one to three of them."""
    chance = random.Random(f"studies of {seed}")
    made: list[Dataset] = []
    done = patients = 0
    while done < studies:
        script = chance.choice(SCRIPTS)
        patient = _patient(chance, script, patients)
        patients += 1
        for _ in range(min(chance.choice((1, 1, 1, 2, 3)), studies - done)):
            made += _study(chance, script, patient, done)
            done += 1
    return made


def _name(chance: random.Random, script: Script) -> str:
    """Name in all its component groups, or with some of them or some components missing."""
    family, given = chance.choice(script.families), chance.choice(script.given)
    shape = chance.choice(("{0}^{1}",) * 5 + ("{0}", "^{1}", "{0}^{1}^B", "{0}^{1}^^Dr", "{0}^^^^MD", "{0} ^{1}"))
    groups = [shape.format(*parts) for parts in zip(family, given, strict=True)]
    groups[0] = chance.choice((str, str, str.upper, str.lower))(groups[0])
    if len(groups) > 1:
        missing = chance.choice((None, None, None, 0, 1, 2))
        groups = ["" if place == missing else group for place, group in enumerate(groups)]
    name = "=".join(groups).rstrip("=")
    room = 4 - name.split("=")[-1].count("^")  # delimiters of components that are not there
    return name + chance.choice(("", "", "", "^", "^^"))[:room]


def _patient(chance: random.Random, script: Script, number: int) -> Dataset:
    return put(
        Dataset(),
        PatientName=_name(chance, script),
        PatientID=chance.choice((f"P{number:05}", f"p{number:05}", f"{number:07}", f"{number}_x", f"{number}%[a]")),
        IssuerOfPatientID=chance.choice(("", "North", "NORTH")),
        PatientBirthDate=chance.choice(("", a_date(chance, 1930), a_date(chance, 1950))),
        PatientSex=chance.choice(("M", "F", "O", "")),
    )


def _study(chance: random.Random, script: Script, patient: Dataset, number: int) -> list[Dataset]:
    alike = number % 40  # so that accession numbers differ by case or by one character of a pattern alone
    forms = ("A_{}", "AX{}", "a_{}", "A%{}", "A[{}]", "A{}", "a{}", "A?{}", "B {}", "")
    study = put(
        Dataset(),
        SpecificCharacterSet=chance.choice(script.character_sets),
        StudyInstanceUID=uid(chance),
        StudyDate=chance.choice((a_date(chance), a_date(chance), a_date(chance), "")),
        StudyTime=a_time(chance),
        AccessionNumber=chance.choice(forms).format(alike),
        StudyID=chance.choice(("1", "S1", "s1", f"S{number}", "")),
        ReferringPhysicianName=chance.choice(("", _name(chance, script), "House^Gregory^^Dr")),
        StudyDescription=chance.choice((script.description, "MRI Pelvis", "mri pelvis", "MRI 50% [rectum]", "")),
        PatientAge=chance.choice(("045Y", "071Y", "006M")),
        PatientWeight=chance.choice(("70.5", "82", None)),
    )
    study.update(patient)
    put(study, PatientName=str(patient.PatientName))  # pydicom keeps the bytes that a name was once written in
    if chance.random() < 0.5:
        codes = (("41806003", "SCT", "MRI of pelvis"), ("RPID2502", "RADLEX", "MR Rectum"), ("mr1", "99X", "Rectum"))
        put(study, ProcedureCodeSequence=[code(*chance.choice(codes))])
    modalities = ["MR"] * chance.choice((1, 1, 2, 3)) + [each for each in ("SEG", "SR", "PR") if chance.random() < 0.3]
    if chance.random() < 0.1:
        modalities = ["SR"]  # a report whose images are elsewhere
    made: list[Dataset] = []
    for place, modality in enumerate(modalities, start=1):
        made += _series(chance, script, study, modality, place)
    return made


def _series(chance: random.Random, script: Script, study: Dataset, modality: str, number: int) -> list[Dataset]:
    series = put(
        Dataset(),
        Modality=modality,
        SeriesInstanceUID=uid(chance),
        SeriesNumber=chance.choice((number, number * 100, None if modality == "MR" else 7)),
        SeriesDate=chance.choice((study.StudyDate, a_date(chance), "")),
        SeriesTime=a_time(chance),
        SeriesDescription=chance.choice(("t2_tse_tra", "T2_TSE_TRA", "t2*_gre", "dwi b50/800", "t2 tse tra", "")),
        ProtocolName=chance.choice(("rectum_staging", "Rectum 3T", "")),
        BodyPartExamined=chance.choice(("PELVIS", "RECTUM", "")),
        PerformingPhysicianName=chance.choice(("", _name(chance, script))),
        OperatorsName=chance.choice(("", "Smith^Anna", ["Smith^Anna", "jones^bob"])),
        Manufacturer=chance.choice(("SIEMENS", "Siemens", "")),
        InstitutionName=chance.choice(("Klinik Nord", "KLINIK NORD", "")),
        StationName=chance.choice(("MR_1", "MRX1", "")),
        PerformedProcedureStepStartDate=chance.choice((a_date(chance), "")),
        PerformedProcedureStepStartTime=a_time(chance),
    )
    if chance.random() < 0.5:
        items = [
            put(
                Dataset(),
                RequestedProcedureID=chance.choice(("RP_1", "RPX1", "rp_1", f"RP{chance.randrange(50)}")),
                ScheduledProcedureStepID=chance.choice(("SPS1", "sps1", f"SPS{chance.randrange(50)}")),
                ScheduledProcedureStepDescription=chance.choice(("Staging", "staging MRI", "")),
            )
            for _ in range(chance.choice((1, 1, 2)))
        ]
        put(series, RequestAttributesSequence=items)
    if modality in {"MR", "SEG"}:
        put(series, FrameOfReferenceUID=uid(chance), PositionReferenceIndicator="", PatientPosition="HFS")
        if not series.BodyPartExamined:
            put(series, Laterality="")
    if modality == "SR":
        put(series, ReferencedPerformedProcedureStepSequence=[])
    count = chance.choice((1, 2, 3)) if modality == "MR" else 1
    return [instance(chance, study, series, place) for place in range(1, count + 1)]


MATCHED = {
    "PATIENT": "PatientName PatientID IssuerOfPatientID PatientBirthDate PatientSex",
    "STUDY": """PatientName PatientID PatientBirthDate StudyInstanceUID StudyDate StudyTime AccessionNumber StudyID
        StudyDescription ReferringPhysicianName ModalitiesInStudy SOPClassesInStudy ProcedureCodeSequence""",
    "SERIES": """SeriesInstanceUID Modality SeriesNumber SeriesDate SeriesTime SeriesDescription ProtocolName
        StationName BodyPartExamined PerformingPhysicianName OperatorsName Manufacturer InstitutionName
        RequestAttributesSequence
        PerformedProcedureStepStartDate PerformedProcedureStepStartTime""",
    "IMAGE": """SOPInstanceUID SOPClassUID InstanceNumber InstanceCreationDate ContentDate ContentTime ImageType
        AcquisitionDateTime AcquisitionNumber""",
}
RETURNED = {
    "PATIENT": "NumberOfPatientRelatedStudies",
    "STUDY": "NumberOfStudyRelatedSeries",
    "SERIES": "NumberOfSeriesRelatedInstances",
    "IMAGE": "Rows",
}


def queries(seed: int, number: int, entities: Sequence[Dataset]) -> list[tuple[str, Dataset]]:
    """Level and identifier of that many queries for what is in the instances; most match something."""
    chance = random.Random(f"queries of {seed}")
    return [_query(chance, entities) for _ in range(number)]


def information_model(level: str, identifier: Dataset) -> str:
    """The information model that the identifier is one of: the patient's ID below STUDY is of the Patient Root."""
    of_patient = level == "PATIENT" or (level in {"SERIES", "IMAGE"} and "PatientID" in identifier)
    return str(
        PatientRootQueryRetrieveInformationModelFind if of_patient else StudyRootQueryRetrieveInformationModelFind
    )


def _query(chance: random.Random, entities: Sequence[Dataset]) -> tuple[str, Dataset]:
    level = chance.choices(("PATIENT", "STUDY", "SERIES", "IMAGE"), (2, 5, 2, 1))[0]
    one, other = chance.choice(entities), chance.choice(entities)
    character_set = chance.choice((one.SpecificCharacterSet, "ISO_IR 192"))
    identifier = put(Dataset(), QueryRetrieveLevel=level, SpecificCharacterSet=character_set)
    if level in {"SERIES", "IMAGE"}:  # C.4.1.3.1.1: the unique keys of the levels above
        put(identifier, StudyInstanceUID=one.StudyInstanceUID)
        if chance.random() < 0.5:
            put(identifier, PatientID=one.PatientID)
    if level == "IMAGE":
        put(identifier, SeriesInstanceUID=one.SeriesInstanceUID)
    asked = chance.sample(MATCHED[level].split(), k=5)
    matched = chance.choice((0, 1, 1, 1, 1, 2, 2, 3))
    for place, keyword in enumerate([*asked, RETURNED[level]]):
        key = _key(chance, keyword, one, other) if place < matched else _universal(keyword)
        put(identifier, **{keyword: key})
    if level == "STUDY" and one.StudyDate and one.StudyTime and chance.random() < 0.1:
        put(identifier, **_date_and_time(chance, one, other))
    return level, identifier


def _universal(keyword: str) -> list[Dataset] | None:
    return [] if dictionary_VR(keyword) == "SQ" else None


def _key(chance: random.Random, keyword: str, one: Dataset, other: Dataset) -> Any:
    """Key that the one matches, for the most part; an empty one where it has no value."""
    if keyword == "ModalitiesInStudy":
        return chance.choice((one.Modality, "MR", "SEG", "SR", "S*", "?R", "mr"))
    if keyword == "SOPClassesInStudy":
        return chance.choice((one.SOPClassUID, [one.SOPClassUID, other.SOPClassUID, "1.2.3"]))
    values, others = _texts(one, keyword), _texts(other, keyword)
    if dictionary_VR(keyword) == "SQ" and one.get(keyword):
        return [_item(chance, chance.choice(list(one[keyword].value)))]
    if not values:
        return _universal(keyword)
    value = chance.choice(values)
    return KEYS.get(dictionary_VR(keyword), _text)(chance, value, others[0] if others else value)


def _texts(of: Dataset, keyword: str) -> list[str]:
    value = of.get(keyword)
    several = value if isinstance(value, MultiValue) else [value]
    return [str(each) for each in several if each not in (None, "") and dictionary_VR(keyword) != "SQ"]


def _item(chance: random.Random, stored: Dataset) -> Dataset:
    """Item of keys for an item of a sequence; now and then an empty one."""
    item = Dataset()
    for element in stored:
        if element.keyword != "CodeMeaning" and chance.random() < 0.6:
            asked = element.value and chance.random() < 0.7
            put(item, **{element.keyword: _text(chance, str(element.value), "") if asked else None})
    return item


def _text(chance: random.Random, value: str, other: str) -> str:
    """The value, with wild cards or not; now and then in another case, which is another value."""
    cut = chance.randrange(len(value))
    within = f"*{value[cut : cut + 3]}*"
    one_less = value[:cut] + "?" + value[cut + 1 :]
    forms = (value, value, value[:cut] + "*", "*" + value[cut:], within, one_less, value.swapcase(), value + " ")
    return chance.choice(forms)


def _person(chance: random.Random, value: str, other: str) -> str:
    """The name or one of its component groups; in any case, without accents or with wild cards."""
    groups = [group for group in value.split("=") if group.strip("^ ")]
    if chance.random() < 0.2:
        return chance.choice((str, str.upper, str.lower))(value)
    change: Callable[[str], str] = chance.choice((str, str, str.upper, str.lower, str.swapcase, _without_accents))
    name = change(chance.choice(groups))
    bare = name.rstrip("^").replace(" ^", "^")
    cut = chance.randrange(1, len(bare) + 1)
    one_less = bare[: cut - 1] + "?" + bare[cut:] if bare[cut - 1] != "^" else bare
    family = bare.split("^")[0]
    return chance.choice((name, bare, bare + "^^", bare[:cut] + "*", "*" + bare[-cut:], one_less, family + "^*"))


def _without_accents(text: str) -> str:
    letters = (each for each in unicodedata.normalize("NFD", text) if not "\u0300" <= each <= "\u036f")
    return unicodedata.normalize("NFC", "".join(letters))


def _unique(chance: random.Random, value: str, other: str) -> str | list[str]:
    return chance.choice((value, value, [value, other, "2.25.1"]))


def _date(chance: random.Random, value: str, other: str) -> str:
    early, late = sorted((value, other))
    return chance.choice((value, f"{value}-{value}", f"{early}-{late}", f"-{value}", f"{value}-"))


def _time(chance: random.Random, value: str, other: str) -> str:
    early, late = sorted(each.split(".")[0].ljust(6, "0") for each in (value, other))
    whole, size = value.split(".")[0].ljust(6, "0"), chance.choice((2, 4, 6, 6))
    cut = whole[:size]
    return chance.choice((value, whole, cut, f"{early[:size]}-{late[:size]}", f"-{cut}", f"{cut}-", f"{cut}-{cut}"))


def _datetime(chance: random.Random, value: str, other: str) -> str:
    """The moment in its zone or another, to the second or less; ranges with it as an end."""
    moments = [datetime.strptime(each[:12] + each[-5:], "%Y%m%d%H%M%z") for each in (value, other)]
    zone = timezone(timedelta(hours=chance.choice((0, 1, -5, 9))))
    form = chance.choice(("%Y%m%d%H%M%z", "%Y%m%d%H%z", "%Y%m%d%z", "%Y%z"))
    early, late = (each.astimezone(zone).strftime(form) for each in sorted(moments))
    cut = moments[0].astimezone(zone).strftime(form)
    return chance.choice((value, cut, f"{early}-{late}", f"-{cut}", f"{cut}-"))


def _number(chance: random.Random, value: str, other: str) -> str:
    return value


KEYS: dict[str, Callable[[random.Random, str, str], str | list[str]]] = {
    "PN": _person,
    "UI": _unique,
    "DA": _date,
    "TM": _time,
    "DT": _datetime,
    "IS": _number,
}


def _date_and_time(chance: random.Random, one: Dataset, other: Dataset) -> dict[str, str]:
    """Ranges of the same form of date and time, which mean another thing when they are combined."""
    dates = sorted((one.StudyDate, other.StudyDate or one.StudyDate))
    times = sorted((one.StudyTime[:4].ljust(4, "0"), (other.StudyTime or one.StudyTime)[:4].ljust(4, "0")))
    form = chance.choice(("{0}-{1}", "-{1}", "{0}-"))
    return {"StudyDate": form.format(*dates), "StudyTime": form.format(*times)}
