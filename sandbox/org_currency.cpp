#include <algorithm>
#include <cmath>

#include "base/json.h"
#include "sandbox/org_data.h"

/// Orgs of several currencies.
namespace lockstep::sandbox {

using std::int64_t;

namespace {

constexpr const char* kCurrencyField = "CurrencyIsoCode";

Field own(const char* name, const char* label, Type type, bool createable, bool updateable) {
    Field field = new_field(name, type);
    field.label = label;
    field.nillable = type != Type::Boolean && !createable && !updateable;
    field.createable = createable;
    field.updateable = updateable;
    field.defaulted_on_create = type == Type::Boolean;
    return field;
}

Object settings_object(const char* name, const char* label, const char* prefix, std::vector<Field> fields) {
    Object object;
    object.name = name;
    object.label = label;
    object.label_plural = std::string(label) + "s";
    object.key_prefix = prefix;
    object.deletable = object.undeletable = object.searchable = object.layoutable = object.triggerable = false;
    object.supported_scopes = {{"All " + object.label_plural, "everything"}};
    object.fields = {system_field("Id", "Record ID", Type::Id)};
    object.fields.insert(object.fields.end(), fields.begin(), fields.end());
    object.fields.push_back(system_field("CreatedDate", "Created Date", Type::DateTime));
    object.fields.push_back(system_field("CreatedById", "Created By ID", Type::Reference, "CreatedBy"));
    object.fields.push_back(system_field("LastModifiedDate", "Last Modified Date", Type::DateTime));
    object.fields.push_back(system_field("LastModifiedById", "Last Modified By ID", Type::Reference, "LastModifiedBy"));
    object.fields.push_back(system_field("SystemModstamp", "System Modstamp", Type::DateTime));
    return object;
}

Field rate_field() {
    Field rate = own("ConversionRate", "Conversion Rate", Type::Double, true, true);
    rate.scale = 6;
    return rate;
}

Object currency_type() {
    Field code = own("IsoCode", "Currency ISO Code", Type::Picklist, true, false);
    code.name_field = true;
    Field places = own("DecimalPlaces", "Decimal Places", Type::Int, true, true);
    places.digits = 1;
    return settings_object("CurrencyType", "Currency Type", "01L",
                           {code, rate_field(), places, own("IsActive", "Active", Type::Boolean, true, true),
                            own("IsCorporate", "Corporate Currency", Type::Boolean, false, false)});
}

Object dated_rate() {
    return settings_object("DatedConversionRate", "Dated Conversion Rate", "04w",
                           {own("IsoCode", "Currency ISO Code", Type::Picklist, true, false),
                            own("StartDate", "Start Date", Type::Date, true, true),
                            own("NextStartDate", "Next Start Date", Type::Date, false, false), rate_field()});
}

bool takes_currency(const Object& object) {
    constexpr const char* standard[] = {"Account",  "Contact",        "Lead", "Opportunity", "OpportunityHistory",
                                        "Campaign", "CampaignMember", "Task", "Event",       "User"};
    return object.custom ||
           std::any_of(std::begin(standard), std::end(standard), [&](const char* name) { return object.name == name; });
}

Field currency_field(const Object& object, const char* name = kCurrencyField) {
    const bool writable = object.createable;
    Field field = own(name, name == kCurrencyField ? "Currency ISO Code" : "Default Currency ISO Code", Type::Picklist,
                      writable, writable);
    field.nillable = true;
    field.restricted_picklist = true;
    field.defaulted_on_create = true;
    return field;
}

Cell cell_of(const Org::Impl& org, int object, int64_t row, const char* name) {
    const int field = org.schema.at(object).find(name);
    return field < 0 ? Cell{} : org.read(object, row, field, Sight::Readers);
}

struct KnownCurrency {
    std::string iso;
    double rate = 1;
    bool active = true;
    bool corporate = false;
};
std::vector<KnownCurrency> known_currencies(const Org::Impl& org) {
    std::vector<KnownCurrency> known;
    const int types = org.schema.find("CurrencyType");
    for (int64_t row = 0; types >= 0 && row < org.table(types).rows(); ++row) {
        const Cell rate = cell_of(org, types, row, "ConversionRate");
        known.push_back({plain_text(Type::String, cell_of(org, types, row, "IsoCode")),
                         is_null(rate) ? 1.0 : std::get<double>(rate),
                         cell_of(org, types, row, "IsActive") == Cell{true},
                         cell_of(org, types, row, "IsCorporate") == Cell{true}});
    }
    return known;
}

/// How many of `iso` one of the corporate currency is worth; on `day`, where rates of days are known.
double rate_of(const Org::Impl& org, const std::string& iso, std::optional<int64_t> day) {
    double rate = 1;
    for (const KnownCurrency& known : known_currencies(org)) {
        if (known.iso == iso) rate = known.rate;
    }
    const int dated = org.schema.find("DatedConversionRate");
    int64_t since = INT64_MIN;
    for (int64_t row = 0; day && row < org.table(dated).rows(); ++row) {
        if (cell_of(org, dated, row, "IsoCode") != Cell{iso}) continue;
        const auto start = std::get<int64_t>(cell_of(org, dated, row, "StartDate"));
        if (start > *day || start < since) continue;
        since = start;
        rate = std::get<double>(cell_of(org, dated, row, "ConversionRate"));
    }
    return rate;
}

Error invalid(std::string what, std::string hint) {
    return Error{.kind = Kind::Invalid, .what = std::move(what), .hint = std::move(hint)};
}

}  // namespace

void Org::Impl::add_currency_field(int object) {
    const Object& described = schema.at(object);
    if (schema.find("CurrencyType") < 0 || !described.custom || described.find(kCurrencyField) >= 0) return;
    schema.add_field(object, currency_field(described));
    plan_fields(object);
    note_currencies();
}

void Org::Impl::note_currencies() {
    std::vector<PickValue> values;
    for (const KnownCurrency& known : known_currencies(*this)) {
        values.push_back({known.iso, known.iso, known.active, known.corporate});
    }
    for (int object = 0; object < schema.size(); ++object) {
        for (const char* name : {kCurrencyField, "DefaultCurrencyIsoCode"}) {
            const int index = schema.at(object).find(name);
            if (index < 0) continue;
            Field field = schema.at(object).fields[static_cast<std::size_t>(index)];
            field.picklist = values;
            schema.change_field(object, index, std::move(field));
        }
    }
}

Cell Org::Impl::default_currency(std::string_view user) const {
    const std::optional<int64_t> who = resolve(user);
    Cell chosen = who ? cell_of(*this, packed_object(*who), packed_row(*who), "DefaultCurrencyIsoCode") : Cell{};
    for (const KnownCurrency& known : known_currencies(*this)) {
        if (is_null(chosen) && known.corporate) chosen = known.iso;
    }
    return chosen;
}

Result<void> Org::make_currencies(const std::vector<Currency>& currencies) {
    if (schema().find("CurrencyType") >= 0)
        return invalid("The org has several currencies already.", "add one with a row of CurrencyType");
    if (currencies.empty() || currencies.front().rate != 1)
        return invalid("The first currency is the corporate one, and its rate is 1.", "write \"EUR\" without a rate");
    for (std::size_t i = 0; i < currencies.size(); ++i) {
        const bool again = std::any_of(currencies.begin(), currencies.begin() + static_cast<std::ptrdiff_t>(i),
                                       [&](const Currency& other) { return other.iso == currencies[i].iso; });
        if (again || !(currencies[i].rate > 0))
            return invalid("The currency " + currencies[i].iso + " is named twice, or its rate is not above 0.",
                           "name each once, as \"USD 1.0843\"");
    }
    const int types = add_object(currency_type());
    add_object(dated_rate());
    for (int object = 0; object < schema().size(); ++object) {
        const Object& described = schema().at(object);
        if (described.removed || !takes_currency(described) || described.find(kCurrencyField) >= 0) continue;
        add_field(object, currency_field(described));
        if (described.name == "User") add_field(object, currency_field(described, "DefaultCurrencyIsoCode"));
    }
    const std::string admin = impl_->table(schema().find("User")).ids->of(kAdminRow);
    impl_->transact([&] {
        for (const Currency& currency : currencies) {
            const WriteResult made = insert_record(*impl_, types,
                                                   {{"IsoCode", currency.iso},
                                                    {"ConversionRate", currency.rate},
                                                    {"DecimalPlaces", int64_t{2}},
                                                    {"IsActive", true}},
                                                   admin);
            const int64_t row = impl_->table(types).rows() - 1;
            if (&currency == currencies.data()) set_fields(*impl_, types, row, {{"IsCorporate", true}}, "");
        }
        // What is stored already is in the corporate currency.
        for (int object = 0; object < schema().size(); ++object) {
            if (schema().at(object).find(kCurrencyField) < 0) continue;
            const Table& place = impl_->table(object);
            for (int64_t row = place.generated; row < place.rows(); ++row) {
                set_fields(
                    *impl_, object, row,
                    {{kCurrencyField, currencies.front().iso}, {"DefaultCurrencyIsoCode", currencies.front().iso}}, "");
            }
        }
        return true;
    });
    impl_->note_currencies();
    // Once and for all: what becomes of CurrencyType later must not move generated rows to another currency.
    std::vector<std::string> codes;
    for (const Currency& currency : currencies) codes.push_back(currency.iso);
    impl_->write_line(json::serialize(json::object{{"currencies", json::value_from(codes)}}));
    impl_->generator->set_currencies(std::move(codes));
    return {};
}

double Org::converted(int object, int64_t row, double amount) const {
    if (schema().find("CurrencyType") < 0) return amount;
    const Cell from = cell_of(*impl_, object, row, kCurrencyField);
    const Cell to = impl_->default_currency(integration_user_id());
    if (is_null(from) || is_null(to) || from == to) return amount;
    std::optional<int64_t> day;
    const Cell close = cell_of(*impl_, object, row, "CloseDate");
    if (schema().at(object).name == "Opportunity" && !is_null(close)) day = std::get<int64_t>(close);
    const double in_corporate = amount / rate_of(*impl_, std::get<std::string>(from), day);
    return std::round(in_corporate * rate_of(*impl_, std::get<std::string>(to), day) * 100) / 100;
}

}  // namespace lockstep::sandbox
