#!/usr/bin/env python3
"""Turns the public data set "CRM Sales Opportunities" into a Salesforce org.

    crm_sales.py convert INPUT OUTPUT     OUTPUT/org.toml, OUTPUT/bulk/NN-<Object>.csv, OUTPUT/report.csv
    crm_sales.py load OUTPUT URL CLIENT_ID CLIENT_SECRET
                                          loads OUTPUT/bulk by Bulk API 2.0; prints what the org refused

The data set has no contacts. Two are made for each account, and each opportunity with an account gets a contact role,
both derived from the names alone, so that every run makes the same.

report.csv tells of each row that could not be taken as it is: `repaired` (with what was done) or `refused`.
"""
import csv
import datetime
import hashlib
import io
import json
import pathlib
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

STAGES = {"Prospecting": "Prospecting", "Engaging": "Negotiation/Review", "Won": "Closed Won", "Lost": "Closed Lost"}
# Open deals have no close date in the file, and Salesforce takes none without: they are expected by the end of the
# year the data ends in.
OPEN_UNTIL = "2017-12-31"
PRODUCTS = {"GTXPro": "GTX Pro"}
SECTORS = {"technolgy": "technology"}
FIRST_NAMES = ["Ada", "Ben", "Cleo", "Dan", "Eva", "Finn", "Gia", "Hugo", "Ines", "Jon"]
LAST_NAMES = ["Adler", "Brook", "Chan", "Dumas", "Eder", "Falk", "Gomez", "Holm", "Ito", "Jansen"]
ROLES = ["Decision Maker", "Business User", "Evaluator", "Economic Buyer"]

ORG = """[org]
name = "CRM Sales"
people = 0

[[fields]]
object = "Account"
name = "Crm_Key__c"
type = "string"
length = 80
external_id = true
unique = true

[[fields]]
object = "Contact"
name = "Crm_Key__c"
type = "string"
length = 120
external_id = true
unique = true

[[fields]]
object = "Opportunity"
name = "Crm_Key__c"
type = "string"
length = 20
external_id = true
unique = true

[[fields]]
object = "Opportunity"
name = "Product__c"
type = "string"
length = 40

[[fields]]
object = "Opportunity"
name = "Engaged_On__c"
type = "date"
"""


def chosen(key, options):
    digest = hashlib.sha256(key.encode()).digest()
    return options[int.from_bytes(digest[:4], "big") % len(options)]


def date_of(text):
    """ISO form of a date like 3/29/17, or None for one that does not exist (00/00/0000)."""
    try:
        return datetime.datetime.strptime(text, "%m/%d/%y").date().isoformat()
    except ValueError:
        return None


class Report:
    def __init__(self):
        self.rows = []

    def add(self, file, line, verdict, what):
        self.rows.append([file, line, verdict, what])


def read(folder, name):
    with open(folder / name, newline="", encoding="utf-8-sig") as file:
        for number, row in enumerate(csv.DictReader(file), start=2):
            yield number, {key: (value or "").strip() for key, value in row.items()}


def write(folder, name, header, rows):
    with open(folder / name, "w", newline="", encoding="utf-8") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(header)
        out.writerows(rows)


def email(first, last, account):
    domain = "".join(c for c in account.lower() if c.isalnum())
    return f"{first}.{last}@{domain}.example".lower()


def convert(source, target):
    report = Report()
    bulk = target / "bulk"
    bulk.mkdir(parents=True, exist_ok=True)
    (target / "org.toml").write_text(ORG, encoding="utf-8")

    users = []
    for line, row in read(source, "sales_teams.csv"):
        if not row["sales_agent"]:
            report.add("sales_teams.csv", line, "refused", "the row has no sales agent")
            continue
        first, _, last = row["sales_agent"].partition(" ")
        key = f"{first}.{last}".lower().replace(" ", "")
        users.append([f"{key}@crm-sales.example", first, last, f"{key}@crm-sales.example", key[:8], key[:40],
                      row["regional_office"], "America/New_York", "en_US", "UTF-8", "en_US", "D", "N", "true", "{profile}"])
    write(bulk, "01-User.csv",
          ["Username", "FirstName", "LastName", "Email", "Alias", "CommunityNickname", "Department", "TimeZoneSidKey",
           "LocaleSidKey", "EmailEncodingKey", "LanguageLocaleKey", "DigestFrequency", "DefaultGroupNotificationFrequency",
           "IsActive", "ProfileId"], users)
    agents = {f"{user[1]} {user[2]}": user[0] for user in users}

    accounts, contacts = [], []
    for line, row in read(source, "accounts.csv"):
        name = row["account"]
        if not name:
            report.add("accounts.csv", line, "refused", "the row has no account name")
            continue
        sector = row["sector"]
        if sector in SECTORS:
            report.add("accounts.csv", line, "repaired", f"sector {sector} read as {SECTORS[sector]}")
            sector = SECTORS[sector]
        revenue = float(row["revenue"] or 0) * 1_000_000
        accounts.append([name, name, sector, f"{revenue:.0f}", row["employees"], row["year_established"],
                         row["office_location"]])
        for number in (1, 2):
            first = chosen(f"{name}/{number}/first", FIRST_NAMES)
            last = chosen(f"{name}/{number}/last", LAST_NAMES)
            contacts.append([f"{name}/{number}", name, first, f"{last}{number}", email(first, f"{last}{number}", name)])
    known = {account[0] for account in accounts}
    write(bulk, "02-Account.csv",
          ["Crm_Key__c", "Name", "Industry", "AnnualRevenue", "NumberOfEmployees", "YearStarted", "BillingCountry"], accounts)
    write(bulk, "03-Contact.csv", ["Crm_Key__c", "Account.Crm_Key__c", "FirstName", "LastName", "Email"], contacts)

    opportunities, roles = [], []
    for line, row in read(source, "sales_pipeline.csv"):
        key, stage, account = row["opportunity_id"], row["deal_stage"], row["account"]
        if not key or stage not in STAGES:
            report.add("sales_pipeline.csv", line, "refused", "the row has no opportunity id or no known stage")
            continue
        product = row["product"]
        if product in PRODUCTS:
            report.add("sales_pipeline.csv", line, "repaired", f"product {product} read as {PRODUCTS[product]}")
            product = PRODUCTS[product]
        closes = date_of(row["close_date"])
        if closes is None:
            report.add("sales_pipeline.csv", line, "repaired", f"close date {row['close_date']} set to {OPEN_UNTIL}")
            closes = OPEN_UNTIL
        if account and account not in known:
            report.add("sales_pipeline.csv", line, "repaired", f"account {account} is in no list and was left out")
            account = ""
        if not account:
            report.add("sales_pipeline.csv", line, "repaired", "no account: loaded without one and without a contact role")
        owner = agents.get(row["sales_agent"], "")
        if not owner:
            report.add("sales_pipeline.csv", line, "repaired", f"sales agent {row['sales_agent']} is in no team")
        opportunities.append([key, f"{product} {key}", account, STAGES[stage], closes, row["close_value"], product,
                              date_of(row["engage_date"]) or "", f"{{owner:{owner}}}" if owner else ""])
        if account:
            number = chosen(f"{key}/contact", [1, 2])
            roles.append([key, f"{account}/{number}", chosen(f"{key}/role", ROLES), "true"])
    write(bulk, "04-Opportunity.csv",
          ["Crm_Key__c", "Name", "Account.Crm_Key__c", "StageName", "CloseDate", "Amount", "Product__c", "Engaged_On__c",
           "OwnerId"], opportunities)
    write(bulk, "05-OpportunityContactRole.csv",
          ["Opportunity.Crm_Key__c", "Contact.Crm_Key__c", "Role", "IsPrimary"], roles)
    write(target, "report.csv", ["file", "line", "verdict", "what"], report.rows)
    refused = sum(1 for row in report.rows if row[2] == "refused")
    print(f"{len(accounts)} accounts, {len(contacts)} contacts, {len(opportunities)} opportunities, {len(roles)} contact "
          f"roles, {len(users)} users; {refused} rows refused, {len(report.rows) - refused} repairs: {target / 'report.csv'}")


class Org:
    def __init__(self, url, client_id, client_secret):
        self.url = url
        answer = self._send("POST", "/services/oauth2/token", urllib.parse.urlencode(
            {"grant_type": "client_credentials", "client_id": client_id, "client_secret": client_secret}).encode(),
            "application/x-www-form-urlencoded")
        self.token = json.loads(answer)["access_token"]

    def _send(self, method, path, body=None, kind="application/json"):
        request = urllib.request.Request(self.url + path, body, {"Content-Type": kind}, method=method)
        if hasattr(self, "token"):
            request.add_header("Authorization", "Bearer " + self.token)
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                return answer.read().decode()
        except urllib.error.HTTPError as error:
            raise SystemExit(f"{method} {path}: {error.code} {error.read().decode()}") from error

    def call(self, method, path, body=None):
        answer = self._send(method, "/services/data/v62.0" + path, None if body is None else json.dumps(body).encode())
        return json.loads(answer) if answer else None

    def query(self, soql):
        page = self.call("GET", "/query?q=" + urllib.parse.quote(soql))
        rows = page["records"]
        while not page["done"]:
            page = json.loads(self._send("GET", page["nextRecordsUrl"]))
            rows += page["records"]
        return rows

    def ingest(self, name, text):
        """Rows the org refused, as dictionaries with sf__Error."""
        job = self.call("POST", "/jobs/ingest", {"object": name, "operation": "insert", "lineEnding": "LF"})["id"]
        self._send("PUT", f"/services/data/v62.0/jobs/ingest/{job}/batches", text.encode(), "text/csv")
        self.call("PATCH", f"/jobs/ingest/{job}", {"state": "UploadComplete"})
        until = time.monotonic() + 300
        while True:
            state = self.call("GET", f"/jobs/ingest/{job}")
            if state["state"] in ("JobComplete", "Failed", "Aborted"):
                break
            if time.monotonic() > until:
                raise SystemExit(f"the {name} job does not end")
            time.sleep(0.1)
        if state["state"] != "JobComplete":
            raise SystemExit(f"the {name} job ended as {state['state']}: {state.get('errorMessage')}")
        failed = self._send("GET", f"/services/data/v62.0/jobs/ingest/{job}/failedResults/")
        return state["numberRecordsProcessed"], list(csv.DictReader(io.StringIO(failed)))


def load(folder, url, client_id, client_secret):
    org = Org(url, client_id, client_secret)
    profile = org.query("SELECT Id FROM Profile WHERE Name = 'Standard User'")[0]["Id"]
    owners = {}
    refused = 0
    for file in sorted((folder / "bulk").glob("*.csv")):
        name = file.stem.split("-", 1)[1]
        text = file.read_text(encoding="utf-8").replace("{profile}", profile)
        for username, user in owners.items():
            text = text.replace(f"{{owner:{username}}}", user)
        processed, failed = org.ingest(name, text)
        refused += len(failed)
        print(f"{name}: {processed - len(failed)} loaded, {len(failed)} refused")
        for row in failed[:5]:
            print("  " + row["sf__Error"] + "  " + ", ".join(v for k, v in row.items() if not k.startswith("sf__"))[:120])
        if name == "User":
            owners = {user["Username"]: user["Id"] for user in org.query("SELECT Id, Username FROM User")}
    return 1 if refused else 0


def main(arguments):
    if len(arguments) == 3 and arguments[0] == "convert":
        convert(pathlib.Path(arguments[1]), pathlib.Path(arguments[2]))
        return 0
    if len(arguments) == 5 and arguments[0] == "load":
        return load(pathlib.Path(arguments[1]), *arguments[2:])
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
