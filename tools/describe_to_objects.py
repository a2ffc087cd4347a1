#!/usr/bin/env python3
"""Recasts describes of Salesforce objects into sandbox/objects/*.json, the schema that lockstep-sandbox is compiled with.

    tools/describe_to_objects.py FIXTURES [OUT]

FIXTURES holds describe/*.describe.json (recorded), describe/GLOBAL.sobjects.json and fields-v64.json; OUT is
sandbox/objects by default. An object with a recorded describe keeps every flag of it; fields and objects known only from
fields-v64.json get the missing flags by the rules that all recorded describes obey, and are marked "derived".

The form: an object names what differs from a plain new custom object, a field what differs from the defaults of its type
(`defaults` below; new_field() in sandbox/schema.cpp is its twin).

    {"name", "label", "plural", "prefix", "on": [flags], "off": [flags], "hidden": deleted rows never show,
     "scopes": [[label, name]], "fields": [field]}
    field: "n" name, "l" label, "t" type, "len" length, "p" precision, "s" scale, "d" digits,
     "bytes" byteLength where it is not three a character,
     "f" letters: c createable, u updateable, ! not nillable, d defaultedOnCreate, i idLookup,
     "on", "off" further flags by their describe names, "to" referenceTo, "rel" relationshipName,
     "child" relationshipName on the parent's side, "cascade" deleted with its parent, "in" compoundFieldName,
     "x" extraTypeInfo, "def" defaultValue, "pick" values: "v", "*v" (the default) or ["v", "label", letters: d default, i inactive],
     "derived"
"""
import json
import pathlib
import sys

RECORDED = ["Account", "Contact", "Lead", "Opportunity", "OpportunityContactRole", "Event"]
DERIVED = ["Organization", "User", "Group", "RecordType", "LeadStatus", "OpportunityStage", "Task", "Campaign",
           "CampaignMember", "CampaignMemberStatus", "UserRole", "Profile", "OpportunityHistory",
           "OpportunityFieldHistory", "LeadHistory", "ContactHistory", "AccountHistory"]
PREFIXES = {"Account": "001", "Contact": "003", "User": "005", "Opportunity": "006", "OpportunityContactRole": "00K",
            "Lead": "00Q", "Task": "00T", "Event": "00U", "CampaignMember": "00v", "Profile": "00e", "UserRole": "00E",
            "Organization": "00D", "Group": "00G", "RecordType": "012", "LeadStatus": "01J", "OpportunityStage": "01J",
            "Campaign": "701", "CampaignMemberStatus": "01Y", "QueueSobject": "03g", "OpportunityHistory": "008"}
PLURALS = {"Group": "Groups", "RecordType": "Record Types", "LeadStatus": "Lead Status Values",
           "OpportunityStage": "Opportunity Stages", "Task": "Tasks", "Profile": "Profiles",
           "CampaignMemberStatus": "Campaign Member Statuses", "QueueSobject": "Queue Sobjects",
           "OpportunityHistory": "Opportunity History", "OpportunityFieldHistory": "Opportunity Field History",
           "LeadHistory": "Lead History", "ContactHistory": "Contact History", "AccountHistory": "Account History"}

FIELD_FLAGS = ["aggregatable", "filterable", "groupable", "sortable", "permissionable", "searchPrefilterable",
               "queryByDistance", "namePointing", "polymorphicForeignKey", "custom", "calculated", "autoNumber",
               "externalId", "unique", "caseSensitive", "nameField", "restrictedPicklist", "htmlFormatted",
               "cascadeDelete", "restrictedDelete"]
OBJECT_FLAGS = ["createable", "updateable", "deletable", "undeletable", "queryable", "replicateable", "retrieveable",
                "searchable", "layoutable", "triggerable", "mergeable", "deepCloneable", "feedEnabled", "mruEnabled",
                "compactLayoutable", "searchLayoutable", "custom"]
OBJECT_ON = set(OBJECT_FLAGS[:10])

# Flags of objects without any recording (salesforce-api 5.1, 18 and 23).
SETTINGS = {"createable", "updateable", "deletable", "undeletable", "layoutable", "triggerable", "searchable"}
HISTORY = SETTINGS | {"searchable"}
OBJECT_OFF = {
    **{name: HISTORY for name in ("OpportunityHistory", "OpportunityFieldHistory", "LeadHistory", "ContactHistory",
                                  "AccountHistory")},
    "LeadStatus": SETTINGS, "OpportunityStage": SETTINGS,
    "RecordType": {"deletable", "undeletable", "layoutable", "triggerable", "searchable"},
    "Group": {"undeletable", "layoutable", "triggerable"},
    "Profile": {"undeletable", "layoutable", "triggerable", "searchable"},
    "QueueSobject": {"updateable", "undeletable", "layoutable", "triggerable", "searchable", "replicateable"},
    "CampaignMemberStatus": {"undeletable", "layoutable", "searchable"},
}
HIDDEN = {"OpportunityContactRole", "CampaignMember", "CampaignMemberStatus"}

NAME_FIELDS = {"Task": "Subject", "LeadStatus": "MasterLabel", "OpportunityStage": "MasterLabel",
               "CampaignMemberStatus": "Label"}
PERSON_NAMES = {"User"}
CHILDREN = {("CampaignMember", "CampaignId"): ("CampaignMembers", True),
            ("CampaignMemberStatus", "CampaignId"): ("CampaignMemberStatuses", True),
            ("Campaign", "ParentId"): ("ChildCampaigns", False), ("Opportunity", "CampaignId"): ("Opportunities", False),
            ("User", "ManagerId"): ("ManagedUsers", False), ("User", "UserRoleId"): ("Users", False),
            ("User", "ProfileId"): ("Users", False), ("QueueSobject", "QueueId"): ("QueueSobjects", True)}
# Fields of nearly every org that the recorded ones do not show, because their profiles hide them: (object, name, label,
# type, length).
USUAL = [(person, *field) for person in ("Lead", "Contact") for field in
         (("HasOptedOutOfEmail", "Email Opt Out", "boolean", 0), ("HasOptedOutOfFax", "Fax Opt Out", "boolean", 0),
          ("DoNotCall", "Do Not Call", "boolean", 0))]
USUAL += [("Lead", "LastTransferDate", "Last Transfer Date", "date", 0),
          ("Task", "Type", "Type", "picklist", 40), ("Event", "Type", "Type", "picklist", 40)]
# Preference and permission booleans by the hundred, which no client reads.
LEFT_OUT = ("UserPreferences", "UserPermissions", "EmailPreferences", "Permissions", "Preferences")

LEAD_SOURCES = ["Web", "Phone Inquiry", "Partner Referral", "Purchased List", "Other"]
PICKLISTS = {  # salesforce-api 23; a "*" marks the default
    ("Campaign", "Type"): ["Conference", "Webinar", "Trade Show", "Public Relations", "Partners", "Referral Program",
                           "Advertisement", "Banner Ads", "Direct Mail", "Email", "Telemarketing", "Other"],
    ("Campaign", "Status"): ["*Planned", "In Progress", "Completed", "Aborted"],
    ("CampaignMember", "Status"): ["*Sent", "Responded", "Invited", "Registered", "Attended", "No Show", "Opened",
                                   "Clicked", "Visited Booth"],
    ("CampaignMember", "LeadSource"): LEAD_SOURCES,
    ("CampaignMember", "Salutation"): ["Mr.", "Ms.", "Mrs.", "Dr.", "Prof."],
    ("Task", "Status"): ["*Not Started", "In Progress", "Completed", "Waiting on someone else", "Deferred"],
    ("Task", "Priority"): ["High", "*Normal", "Low"],
    ("Task", "TaskSubtype"): ["*Task", "Email", "ListEmail", "Cadence", "Call", "LinkedIn"],
    ("Task", "CallType"): ["Internal", "Inbound", "Outbound"],
    ("Task", "Subject"): ["Call", "Send Letter", "Send Quote", "Other"],
    ("Task", "Type"): ["Call", "Email", "Meeting", "Other"],
    ("Event", "Type"): ["Call", "Email", "Meeting", "Other"],
    ("Group", "Type"): ["Regular", "Role", "RoleAndSubordinates", "Organization", "Queue"],
    ("User", "UserType"): ["Standard", "Guest", "AutomatedProcess", "CloudIntegrationUser", "PowerPartner",
                           "CspLitePortal"],
    ("OpportunityStage", "ForecastCategory"): ["Omitted", "Pipeline", "BestCase", "MostLikely", "Forecast", "Closed"],
    ("OpportunityStage", "ForecastCategoryName"): ["Omitted", "Pipeline", "Best Case", "Commit", "Closed"],
}
RESTRICTED = {("Task", "TaskSubtype"), ("Task", "CallType"), ("Group", "Type"), ("User", "UserType"),
              ("OpportunityStage", "ForecastCategory"), ("OpportunityStage", "ForecastCategoryName")}
DEFAULTED = {"OwnerId", "Status", "Priority"}
WRITE_ONCE_DEFAULTS = {("Task", "TaskSubtype")}

LONG = {"textarea"}
NOT_GROUPABLE = {"double", "currency", "percent", "datetime", "time", "combobox", "multipicklist", "address", "location",
                 "base64", "encryptedstring", "anyType"}


def defaults(field):
    """The flags that follow from type, length, targets and writability."""
    kind, refs = field["type"], field.get("referenceTo") or []
    is_long = kind == "base64" or (kind in LONG and (field.get("length") or 0) > 255)
    compound = kind in ("address", "location")
    writable = field["nillable"] and field["createable"] and field["updateable"]
    return {
        "aggregatable": not (is_long or compound or kind in ("boolean", "multipicklist")),
        "filterable": not is_long and kind != "encryptedstring",
        "groupable": not is_long and kind not in NOT_GROUPABLE,
        "sortable": not (is_long or compound or kind == "multipicklist"),
        "permissionable": writable,
        "searchPrefilterable": kind == "reference" and field["nillable"],
        "queryByDistance": compound,
        "namePointing": len(refs) > 1,
        "polymorphicForeignKey": len(refs) > 1,
    }


def picklist(values):
    out = []
    for value in values:
        assert not value.get("validFor"), "dependent picklists are not carried over"
        if value["label"] == value["value"]:
            out.append(("*" if value["defaultValue"] else "") + value["value"])
        else:
            out.append([value["value"], value["label"]] + (["d"] if value["defaultValue"] else []))
    return out


def recast(field, child):
    out = {"n": field["name"], "l": field["label"], "t": field["type"]}
    for key, long_key in (("len", "length"), ("p", "precision"), ("s", "scale"), ("d", "digits")):
        implied = 18 if key == "len" and field["type"] in ("id", "reference") else 0
        if (field.get(long_key) or 0) != implied:
            out[key] = field[long_key]
    expected_bytes = field.get("length", 0) * (1 if field["type"] in ("id", "reference") else 3)
    if field.get("byteLength", expected_bytes) != expected_bytes:
        out["bytes"] = field["byteLength"]
    letters = "".join(letter for letter, on in (("c", field["createable"]), ("u", field["updateable"]),
                                                ("!", not field["nillable"]), ("d", field["defaultedOnCreate"]),
                                                ("i", field["idLookup"])) if on)
    if letters:
        out["f"] = letters
    expected = defaults(field)
    on = [flag for flag in FIELD_FLAGS if field.get(flag) and not expected.get(flag, False)]
    off = [flag for flag in FIELD_FLAGS if not field.get(flag) and expected.get(flag, False)]
    if on:
        out["on"] = on
    if off:
        out["off"] = off
    for key, long_key in (("to", "referenceTo"), ("rel", "relationshipName"), ("in", "compoundFieldName"),
                          ("x", "extraTypeInfo")):
        if field.get(long_key):
            out[key] = field[long_key]
    if field.get("defaultValue") not in (None, False):
        out["def"] = field["defaultValue"] if field["defaultValue"] is not True else "true"
    if child and child[0]:
        out["child"] = child[0]
    if child and child[1]:
        out["cascade"] = True
    if field.get("picklistValues"):
        out["pick"] = picklist(field["picklistValues"])
    if field.get("derived"):
        out["derived"] = True
    return out


def derive(object_name, field):
    """Gives a field of fields-v64.json the flags it lacks."""
    out = {"length": 0, "digits": 0, "precision": 0, "scale": 0, "idLookup": field["type"] == "id",
           "picklistValues": [], **field}
    out["derived"] = True
    kind, name = field["type"], field["name"]
    out["referenceTo"] = [target for target in field.get("referenceTo") or [] if target.isalnum()]
    if kind == "textarea" and not out["length"]:
        out["length"] = 32000
    if object_name == "OpportunityHistory" and kind in ("currency", "percent"):
        out["precision"], out["scale"] = (18, 2) if kind == "currency" else (3, 0)  # as Opportunity's
    key = (object_name, name)
    if "defaultedOnCreate" not in field:
        system = kind in ("id", "boolean") or name in ("CreatedDate", "CreatedById", "LastModifiedDate",
                                                       "LastModifiedById", "SystemModstamp")
        values = PICKLISTS.get(key, [])
        has_default = any(value.startswith("*") for value in values)
        out["defaultedOnCreate"] = system or (field["createable"] and (name in DEFAULTED or has_default))
    if key in PICKLISTS:
        out["picklistValues"] = [{"value": value.lstrip("*"), "label": value.lstrip("*"),
                                  "defaultValue": value.startswith("*")} for value in PICKLISTS[key]]
        chosen = [value.lstrip("*") for value in PICKLISTS[key] if value.startswith("*")]
        if chosen:
            out["defaultValue"] = chosen[0]
    out["restrictedPicklist"] = key in RESTRICTED
    out["nameField"] = name == NAME_FIELDS.get(object_name, "Name")
    if object_name in PERSON_NAMES and name in ("Name", "FirstName", "LastName"):
        out["extraTypeInfo"] = "personname"
        if name != "Name":
            out["compoundFieldName"] = "Name"
    if kind == "textarea":
        out["extraTypeInfo"] = "plaintextarea"
    parts = ("Street", "City", "State", "PostalCode", "Country", "Latitude", "Longitude", "GeocodeAccuracy")
    if object_name in ("User", "Organization") and name in parts:
        out["compoundFieldName"] = "Address"
    for flag, value in defaults(out).items():
        out.setdefault(flag, value)
    if object_name == "User" and name == "Username":
        out["unique"] = True
    if name == "LeadOrContactId" or name == "LeadOrContactOwnerId" or kind == "reference" and not field["createable"]:
        out["permissionable"] = False
    return out


def usual(object_name):
    """Fields of USUAL, as fields-v64.json would tell them."""
    fields = []
    for owner, name, label, kind, length in USUAL:
        if owner != object_name:
            continue
        writable = name != "LastTransferDate"
        fields.append(derive(owner, {"name": name, "label": label, "type": kind, "length": length,
                                     "nillable": kind != "boolean", "createable": writable, "updateable": writable,
                                     "referenceTo": [], "relationshipName": None}))
    return fields


def children_of(describes):
    found = dict(CHILDREN)
    for describe in describes.values():
        for child in describe["childRelationships"]:
            key = (child["childSObject"], child["field"])
            name, cascade = found.get(key, (None, False))
            found[key] = (name or child["relationshipName"], cascade or child["cascadeDelete"])
    return found


def write(out_dir, described, fields, children):
    name = described["name"]
    out = {"name": name, "label": described["label"], "plural": described["labelPlural"],
           "prefix": PREFIXES.get(name, "")}
    on = [flag for flag in OBJECT_FLAGS if described.get(flag) and flag not in OBJECT_ON]
    off = [flag for flag in OBJECT_FLAGS if not described.get(flag) and flag in OBJECT_ON]
    if on:
        out["on"] = on
    if off:
        out["off"] = off
    if name in HIDDEN:
        out["hidden"] = True
    if described.get("supportedScopes"):
        out["scopes"] = [[scope["label"], scope["name"]] for scope in described["supportedScopes"]]
    lines = [json.dumps(recast(field, children.get((name, field["name"]))), ensure_ascii=False,
                        separators=(",", ":")) for field in fields]
    head = json.dumps(out, ensure_ascii=False, separators=(",", ":"))[:-1]
    text = head + ',"fields":[\n' + ",\n".join(lines) + "\n]}\n"
    json.loads(text)
    (out_dir / f"{name}.json").write_text(text)
    return len(fields)


def plain_object(name, label):
    described = {flag: flag in OBJECT_ON and flag not in OBJECT_OFF.get(name, ()) for flag in OBJECT_FLAGS}
    return {**described, "name": name, "label": label, "labelPlural": PLURALS.get(name, label + "s"),
            "supportedScopes": [{"label": f"All {PLURALS.get(name, label + 's').lower()}", "name": "everything"}]}


def queue_sobject():
    def field(name, label, kind, **more):
        return derive("QueueSobject", {"name": name, "label": label, "type": kind, "nillable": False,
                                       "createable": False, "updateable": False, "referenceTo": [],
                                       "relationshipName": None, "length": 18, **more})
    return [field("Id", "Queue Sobject ID", "id"),
            field("QueueId", "Group ID", "reference", createable=True, referenceTo=["Group"], relationshipName="Queue"),
            field("SobjectType", "Sobject Type", "picklist", createable=True, length=40),
            field("CreatedById", "Created By ID", "reference", referenceTo=["User"], relationshipName="CreatedBy"),
            field("SystemModstamp", "System Modstamp", "datetime", length=0)]


def golden(out_file, describes):
    """Flags of the recorded fields, one line each, for the test that holds our describe against them."""
    lines = []
    for name in RECORDED:
        for field in describes[name]["fields"]:
            if "__" in field["name"]:
                continue
            flags = [key for key, value in sorted(field.items()) if value is True]
            sizes = [f"{key}={field[key]}" for key in ("byteLength", "digits", "length", "precision", "scale")
                     if field[key]]
            texts = [f"{key}={field[key]}" for key in ("compoundFieldName", "defaultValue", "extraTypeInfo",
                                                       "relationshipName") if field[key] not in (None, True, False)]
            values = len(field["picklistValues"])
            lines.append(" ".join([f"{name}.{field['name']}", field["type"], field["soapType"], *flags, *sizes, *texts,
                                   f"targets={len(field['referenceTo'])}", f"values={values}"]))
    out_file.write_text("\n".join(lines) + "\n")


def main():
    fixtures = pathlib.Path(sys.argv[1])
    root = pathlib.Path(__file__).resolve().parent.parent
    out_dir = pathlib.Path(sys.argv[2]) if len(sys.argv) > 2 else root / "sandbox" / "objects"
    describes = {file.name.split(".")[0]: json.loads(file.read_text())
                 for file in sorted((fixtures / "describe").glob("*.describe.json"))}
    known = json.loads((fixtures / "fields-v64.json").read_text())
    described_global = {item["name"]: item for item in
                        json.loads((fixtures / "describe" / "GLOBAL.sobjects.json").read_text())["sobjects"]}
    children = children_of(describes)
    for name in RECORDED:
        # Names with two underscores belong to packages and tests of the org that was recorded.
        fields = [field for field in describes[name]["fields"] if "__" not in field["name"]]
        have = {field["name"] for field in fields}
        fields += [derive(name, field) for field in known[name]["fields"] if field["name"] not in have]
        fields += usual(name)
        write(out_dir, describes[name], fields, children)
    for name in DERIVED:
        described = {**plain_object(name, known[name]["label"]), **described_global.get(name, {})}
        if name in described_global:
            described["compactLayoutable"] = described["searchLayoutable"] = described["layoutable"]
        fields = [derive(name, field) for field in known[name]["fields"] if not field["name"].startswith(LEFT_OUT)]
        fields += usual(name)
        write(out_dir, described, fields, children)
    write(out_dir, plain_object("QueueSobject", "Queue Sobject"), queue_sobject(), children)
    golden(root / "sandbox" / "testdata" / "recorded_flags.txt", describes)


if __name__ == "__main__":
    main()
