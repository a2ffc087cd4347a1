#include "sandbox/generate_data.h"

/// Accounts, contacts and leads.
namespace lockstep::sandbox::generate {

char* put_company(char* at, const Company& company) {
    const std::string_view first = words::kCompanyFirst[company.first].text;
    const std::string_view second = words::kCompanySecond[company.second].text;
    const bool quoted = (company.h >> 8) % 512 == 0;
    at = put(put(put(at, quoted ? "The \"" : ""), first), " ");
    at = put(put(put(at, second), quoted ? "\" " : " "), words::kCompanyThird[company.third].text);
    if (company.layer > 0) {
        const auto place = static_cast<std::size_t>(company.layer) % std::size(words::kCities);
        at = put(put(at, " "), words::kCities[place].city);
    }
    return put(at, words::kLegalForms[company.h & 15U]);
}

namespace {

void fill_account(const G& g, int64_t row, AccountRow& out) {
    const G::Core core = g.account_core(row);
    begin(out, g, row, core);
    g.account_calendar.finish(out.at, row, out.h2, 0);
    out.owner = G::owner(out.h);
    out.company = g.company(static_cast<uint64_t>(row));
    out.city = G::city(out.h);
    out.industry = static_cast<uint32_t>((out.h >> 16) % std::size(words::kIndustries));
    // From a handful to tens of thousands, most of them small.
    const double size = fraction(out.h, 20);
    out.employees = 3 + static_cast<int64_t>(size * size * size * size * 40000);
}

Person contact_person(const G& g, int64_t row, const G::Core& core) {
    const auto company = static_cast<uint64_t>(core.account >= 0 ? core.account : g.accounts + g.leads + row);
    const uint64_t place = core.account >= 0 && core.h % 8 != 0 ? g.hash(1, core.account) : core.h;
    return g.person(core.h, company, G::city(place));
}

void fill_contact(const G& g, int64_t row, ContactRow& out) {
    const G::Core core = g.contact_core(row);
    begin(out, g, row, core);
    g.contact_calendar.finish(out.at, row, out.h2, 0);
    out.account = core.account;
    out.owner = G::owner(core.account >= 0 ? g.hash(1, core.account) : out.h);
    out.person = contact_person(g, row, core);
}

void fill_lead(const G& g, int64_t row, LeadRow& out) {
    const G::LeadCore core = g.lead_core(row);
    out.converted = core.nth >= 0;
    out.contact = core.contact;
    out.account = core.account;
    out.opportunity = -1;
    int64_t not_before = core.not_before;
    bool named = out.converted;
    if (out.converted) {
        out.person = contact_person(g, out.contact, g.contact_core(out.contact));
        if (g.converts_to_opportunity(core.nth)) {
            const int64_t deal = G::converted_place(core.nth, g.conversions(), g.opportunities);
            const G::Core deal_core = g.opportunity_core(deal);
            if (deal_core.deleted == 0 && deal_core.contact == out.contact) out.opportunity = deal;
            not_before = std::max(not_before, deal_core.created);
        }
    } else if (core.h % 32 == 0 && g.contacts > 0) {
        const auto twin = static_cast<int64_t>((core.h >> 8) % static_cast<uint64_t>(g.contacts));
        const G::Core contact = g.contact_core(twin);
        named = contact.account >= 0 && contact.deleted == 0;
        if (named) out.person = contact_person(g, twin, contact);
    }
    begin(out, g, row, core);
    if (!named) {
        const bool known_company = g.accounts > 0 && out.h2 % 10 < 3;
        const int64_t company =
            known_company ? static_cast<int64_t>((out.h >> 8) % static_cast<uint64_t>(g.accounts)) : g.accounts + row;
        out.person = g.person(out.h, static_cast<uint64_t>(company), G::city(out.h));
    }
    out.converted_day = not_before / kDay;
    g.lead_calendar.finish(out.at, row, out.h2, not_before);
    out.owner = G::owner(out.h);
    out.industry = static_cast<uint32_t>((out.h >> 16) % std::size(words::kIndustries));
    const uint64_t state = (out.h2 >> 40) % 100;
    out.status = out.converted ? 2 : state < 45 ? 0 : state < 80 ? 1 : 3;
}

char* put_domain(char* at, const Company& company) {
    at = put(at, words::kCompanyFirst[company.first].ascii);
    at = put(at, words::kCompanySecond[company.second].ascii);
    at = put(at, words::kCompanyThird[company.third].ascii);
    if (company.layer > 0) at = write_int(at, company.layer);
    return put(at, ".example");
}

char* put_email(char* at, const Person& person) {
    const std::string_view first = words::kFirst[person.first].ascii;
    const bool initial = (person.h >> 48) % 10 < 3;
    at = put(at, initial ? first.substr(0, 1) : first);
    if (!initial) at = put(at, ".");
    at = put(put(at, words::kLast[person.last].ascii), "@");
    return put_domain(at, person.company);
}

/// Numbers of the range that is kept free for fiction.
char* put_phone(char* at, uint32_t city, uint64_t hash) {
    at = put_two_digits(put(put(at, words::kCities[city].dial), "555-01"), hash % 100);
    if ((hash >> 8) % 4 == 0) at = put_two_digits(put(at, " x2"), (hash >> 16) % 100);
    return at;
}

char* put_street(char* at, uint64_t hash) {
    at = put(write_int(at, 1 + static_cast<int64_t>(hash % 990)), " ");
    at = put(at, words::kStreets[(hash >> 16) % std::size(words::kStreets)]);
    return put(at, words::kUnits[(hash >> 24) % std::size(words::kUnits)]);
}

char* put_postal_code(char* at, uint32_t city, uint64_t hash) {
    at = put(at, words::kCities[city].postal_start);
    const std::string_view country = words::kCities[city].country;
    constexpr std::string_view letters = "ABDEFGHJLNPQRSTUWXYZ";
    if (country == "Canada" || country == "United Kingdom") {
        *at++ = static_cast<char>('0' + hash % 10);
        *at++ = letters[(hash >> 8) % letters.size()];
        *at++ =
            country == "Canada" ? static_cast<char>('0' + (hash >> 16) % 10) : letters[(hash >> 16) % letters.size()];
        return at;
    }
    return put_two_digits(at, hash % 100);
}

int64_t near(int degrees, uint64_t hash) {
    return degrees + static_cast<int64_t>(hash % 80000) - 40000;
}

std::vector<Column> account_columns() {
    using R = AccountRow;
    std::vector<Column> columns = system_columns<R>();
    append(
        columns,
        {
            text<R>("Name", [](const R& r, char* at) { return put_company(at, r.company); }),
            choice<R>("Type", words::kAccountTypes,
                      [](const R& r) { return pick(r.h, 4, std::size(words::kAccountTypes)); }),
            number<R>("RecordTypeId", Kind::Row,
                      [](const R& r) {
                          const int64_t type = pick(r.h, 4, std::size(words::kAccountTypes));
                          return pack(r.g->record_type, type >= 5 ? 1 : 0);
                      }),
            number<R>("ParentId", Kind::Row,
                      [](const R& r) {
                          if (r.row == 0 || r.h2 % 33 != 0) return kNull;
                          const auto parent = static_cast<int64_t>((r.h2 >> 8) % static_cast<uint64_t>(r.row));
                          return r.g->account_core(parent).deleted == 0 ? pack(r.g->account, parent) : kNull;
                      }),
            text<R>("BillingStreet", [](const R& r, char* at) { return put_street(at, r.h2 >> 4); }),
            text<R>("BillingCity", [](const R& r, char* at) { return put(at, words::kCities[r.city].city); }),
            text<R>("BillingState", [](const R& r, char* at) { return put(at, words::kCities[r.city].state); }),
            text<R>("BillingPostalCode", [](const R& r, char* at) { return put_postal_code(at, r.city, r.h2 >> 12); }),
            text<R>("BillingCountry", [](const R& r, char* at) { return put(at, words::kCities[r.city].country); }),
            number<R>(
                "BillingLatitude", Kind::Millionths,
                [](const R& r) { return r.h % 2 == 0 ? near(words::kCities[r.city].latitude, r.h2 >> 8) : kNull; }),
            number<R>(
                "BillingLongitude", Kind::Millionths,
                [](const R& r) { return r.h % 2 == 0 ? near(words::kCities[r.city].longitude, r.h2 >> 16) : kNull; }),
            text<R>("ShippingStreet",
                    [](const R& r, char* at) { return r.h % 5 < 3 ? put_street(at, r.h2 >> 4) : at; }),
            text<R>("ShippingCity",
                    [](const R& r, char* at) { return r.h % 5 < 3 ? put(at, words::kCities[r.city].city) : at; }),
            text<R>("ShippingState",
                    [](const R& r, char* at) { return r.h % 5 < 3 ? put(at, words::kCities[r.city].state) : at; }),
            text<R>("ShippingPostalCode",
                    [](const R& r, char* at) { return r.h % 5 < 3 ? put_postal_code(at, r.city, r.h2 >> 12) : at; }),
            text<R>("ShippingCountry",
                    [](const R& r, char* at) { return r.h % 5 < 3 ? put(at, words::kCities[r.city].country) : at; }),
            text<R>("Phone", [](const R& r, char* at) { return put_phone(at, r.city, r.h >> 12); }),
            text<R>("Fax", [](const R& r,
                              char* at) { return r.h % 10 == 1 ? put_phone(at, r.city, (r.h >> 13) & ~0x300U) : at; }),
            text<R>("AccountNumber", [](const R& r, char* at) { return write_int(put(at, "A-"), 100000 + r.row); }),
            text<R>("Website", [](const R& r, char* at) { return put_domain(put(at, "https://www."), r.company); }),
            text<R>("Sic", [](const R& r, char* at) { return write_int(at, 1000 + int64_t{r.industry} * 271 % 9000); }),
            choice<R>("SicDesc", words::kSicDescriptions,
                      [](const R& r) { return static_cast<int64_t>(r.industry % std::size(words::kSicDescriptions)); }),
            choice<R>("Industry", words::kIndustries, [](const R& r) { return int64_t{r.industry}; }),
            number<R>("AnnualRevenue", Kind::Hundredths,
                      [](const R& r) {
                          const auto each = static_cast<int64_t>(90 + (r.h2 >> 20) % 160);  // thousands per head
                          return r.employees * each * 1000 * 100;
                      }),
            number<R>("NumberOfEmployees", Kind::Int, [](const R& r) { return r.employees; }),
            choice<R>("Ownership", words::kOwnerships,
                      [](const R& r) { return pick(r.h, 24, std::size(words::kOwnerships)); }),
            choice<R>("Rating", words::kRatings,
                      [](const R& r) { return r.h % 3 != 0 ? pick(r.h, 28, std::size(words::kRatings)) : kNull; }),
            choice<R>(
                "Description", words::kAccountNotes,
                [](const R& r) { return r.h2 % 2 == 0 ? pick(r.h, 32, std::size(words::kAccountNotes)) : kNull; }),
            text<R>("YearStarted",
                    [](const R& r, char* at) { return write_int(at, 1900 + static_cast<int64_t>(r.h2 % 124)); }),
            choice<R>("AccountSource", words::kLeadSources,
                      [](const R& r) { return pick(r.h, 36, std::size(words::kLeadSources)); }),
            choice<R>("CleanStatus", words::kCleanStatuses,
                      [](const R& r) { return pick(r.h2, 36, std::size(words::kCleanStatuses)); }),
            text<R>("CurrencyIsoCode", [](const R& r, char* at) { return put_currency(*r.g, r.h, at); }),
            owner_column<R>(),
            last_activity_column<R>(),
        });
    return columns;
}

bool has_email(const Person& person) {
    return (person.h >> 52) % 25 != 0;
}
template <class R>
bool bounced(const R& r) {
    return r.h2 % 100 == 7 && has_email(r.person);
}

template <class R>
std::vector<Column> person_columns(std::string_view street, std::string_view city, std::string_view state,
                                   std::string_view postal_code, std::string_view country, std::string_view latitude,
                                   std::string_view longitude) {
    return {
        text<R>("LastName", [](const R& r, char* at) { return put(at, words::kLast[r.person.last].text); }),
        text<R>("FirstName", [](const R& r, char* at) { return put(at, words::kFirst[r.person.first].text); }),
        text<R>("Name",
                [](const R& r, char* at) {
                    at = put(put(at, words::kFirst[r.person.first].text), " ");
                    return put(at, words::kLast[r.person.last].text);
                }),
        choice<R>("Salutation", words::kSalutations,
                  [](const R& r) {
                      if (r.person.h % 3 == 0) return kNull;
                      return 2 * pick(r.person.h, 40, std::size(words::kSalutations) / 2) + r.person.first % 2;
                  }),
        choice<R>("Title", words::kTitles, [](const R& r) { return int64_t{r.person.title}; }),
        text<R>("Email", [](const R& r, char* at) { return has_email(r.person) ? put_email(at, r.person) : at; }),
        // Of the person, so that a lead and the contact of the same name agree.
        number<R>("HasOptedOutOfEmail", Kind::Bool,
                  [](const R& r) -> int64_t { return has_email(r.person) && (r.person.h >> 44) % 14 == 0 ? 1 : 0; }),
        number<R>("HasOptedOutOfFax", Kind::Bool,
                  [](const R& r) -> int64_t { return (r.person.h >> 41) % 40 == 0 ? 1 : 0; }),
        number<R>("DoNotCall", Kind::Bool, [](const R& r) -> int64_t { return (r.person.h >> 36) % 25 == 0 ? 1 : 0; }),
        choice<R>("EmailBouncedReason", words::kBounceReasons,
                  [](const R& r) { return bounced(r) ? pick(r.h, 40, 2) : kNull; }),
        number<R>("EmailBouncedDate", Kind::DateTime, [](const R& r) { return bounced(r) ? r.at.modified : kNull; }),
        text<R>("Phone", [](const R& r, char* at) { return put_phone(at, r.person.city, r.person.h >> 8); }),
        text<R>("MobilePhone",
                [](const R& r, char* at) {
                    return r.h % 5 < 3 ? put_phone(at, r.person.city, (r.person.h >> 20) & ~0x300U) : at;
                }),
        choice<R>("LeadSource", words::kLeadSources,
                  [](const R& r) { return pick(r.h, 30, std::size(words::kLeadSources)); }),
        text<R>(street, [](const R& r, char* at) { return put_street(at, r.person.h >> 4); }),
        text<R>(city, [](const R& r, char* at) { return put(at, words::kCities[r.person.city].city); }),
        text<R>(state, [](const R& r, char* at) { return put(at, words::kCities[r.person.city].state); }),
        text<R>(postal_code, [](const R& r, char* at) { return put_postal_code(at, r.person.city, r.person.h >> 12); }),
        text<R>(country, [](const R& r, char* at) { return put(at, words::kCities[r.person.city].country); }),
        number<R>(
            latitude, Kind::Millionths,
            [](const R& r) { return r.h % 3 == 0 ? near(words::kCities[r.person.city].latitude, r.h2 >> 8) : kNull; }),
        number<R>(longitude, Kind::Millionths,
                  [](const R& r) {
                      return r.h % 3 == 0 ? near(words::kCities[r.person.city].longitude, r.h2 >> 16) : kNull;
                  }),
        choice<R>("Description", words::kAccountNotes,
                  [](const R& r) { return r.h2 % 7 == 0 ? pick(r.h, 34, std::size(words::kAccountNotes)) : kNull; }),
        choice<R>("CleanStatus", words::kCleanStatuses,
                  [](const R& r) { return pick(r.h2, 36, std::size(words::kCleanStatuses)); }),
        last_activity_column<R>(),
    };
}

std::vector<Column> contact_columns() {
    using R = ContactRow;
    std::vector<Column> columns = system_columns<R>();
    append(columns, person_columns<R>("MailingStreet", "MailingCity", "MailingState", "MailingPostalCode",
                                      "MailingCountry", "MailingLatitude", "MailingLongitude"));
    append(
        columns,
        {
            number<R>("AccountId", Kind::Row,
                      [](const R& r) { return r.account >= 0 ? pack(r.g->account, r.account) : kNull; }),
            choice<R>("Department", words::kDepartments, [](const R& r) { return int64_t{r.person.title}; }),
            number<R>(
                "Birthdate", Kind::Date,
                [](const R& r) { return r.h2 % 5 == 0 ? static_cast<int64_t>((r.h >> 8) % 13000) - 3000 : kNull; }),
            number<R>("ReportsToId", Kind::Row,
                      [](const R& r) {
                          if (r.account < 0 || r.h2 % 4 != 0) return kNull;
                          const int64_t first = r.g->contacts_of.first_child(r.account);
                          const G::Core boss = r.g->contact_core(first);
                          const bool is_boss = first != r.row && boss.deleted == 0 && boss.account == r.account;
                          return is_boss ? pack(r.g->contact, first) : kNull;
                      }),
            number<R>("IsEmailBounced", Kind::Bool, [](const R& r) -> int64_t { return bounced(r) ? 1 : 0; }),
            text<R>("CurrencyIsoCode", [](const R& r, char* at) { return put_currency_of(*r.g, r.account, r.h, at); }),
            owner_column<R>(),
        });
    return columns;
}

std::vector<Column> lead_columns() {
    using R = LeadRow;
    std::vector<Column> columns = system_columns<R>();
    append(columns, person_columns<R>("Street", "City", "State", "PostalCode", "Country", "Latitude", "Longitude"));
    append(
        columns,
        {
            text<R>("Company", [](const R& r, char* at) { return put_company(at, r.person.company); }),
            text<R>("Website",
                    [](const R& r, char* at) {
                        return r.h % 5 < 3 ? put_domain(put(at, "https://www."), r.person.company) : at;
                    }),
            text<R>("CurrencyIsoCode", [](const R& r, char* at) { return put_currency(*r.g, r.h, at); }),
            choice<R>("Status", words::kLeadStatuses, [](const R& r) { return int64_t{r.status}; }),
            choice<R>("Industry", words::kIndustries,
                      [](const R& r) { return r.h % 4 != 0 ? int64_t{r.industry} : kNull; }),
            choice<R>("Rating", words::kRatings,
                      [](const R& r) { return r.h % 3 == 0 ? pick(r.h, 28, std::size(words::kRatings)) : kNull; }),
            number<R>("AnnualRevenue", Kind::Hundredths,
                      [](const R& r) {
                          return r.h % 2 == 0 ? static_cast<int64_t>(1 + (r.h2 >> 20) % 2000) * 50000 * 100 : kNull;
                      }),
            number<R>("NumberOfEmployees", Kind::Int,
                      [](const R& r) { return r.h % 2 == 0 ? static_cast<int64_t>(1 + (r.h2 >> 24) % 5000) : kNull; }),
            number<R>("OwnerId", Kind::Row,
                      [](const R& r) {
                          // A tenth waits in a queue for somebody to take it.
                          if (r.status == 0 && (r.h2 >> 8) % 5 == 0) return pack(r.g->group, pick(r.h2, 12, kQueues));
                          return pack(r.g->user, r.owner);
                      }),
            number<R>("IsConverted", Kind::Bool, [](const R& r) -> int64_t { return r.converted ? 1 : 0; }),
            number<R>("ConvertedDate", Kind::Date, [](const R& r) { return r.converted ? r.converted_day : kNull; }),
            number<R>("ConvertedAccountId", Kind::Row,
                      [](const R& r) { return r.converted ? pack(r.g->account, r.account) : kNull; }),
            number<R>("ConvertedContactId", Kind::Row,
                      [](const R& r) { return r.converted ? pack(r.g->contact, r.contact) : kNull; }),
            number<R>("ConvertedOpportunityId", Kind::Row,
                      [](const R& r) { return r.opportunity >= 0 ? pack(r.g->opportunity, r.opportunity) : kNull; }),
            number<R>("IsUnreadByOwner", Kind::Bool,
                      [](const R& r) -> int64_t { return r.status == 0 && r.h2 % 2 == 0 ? 1 : 0; }),
        });
    return columns;
}

}  // namespace

std::vector<Shape> people_shapes() {
    return {{&G::account, &G::accounts, account_columns(), construct<AccountRow, fill_account>},
            {&G::contact, &G::contacts, contact_columns(), construct<ContactRow, fill_contact>},
            {&G::lead, &G::leads, lead_columns(), construct<LeadRow, fill_lead>}};
}

}  // namespace lockstep::sandbox::generate
