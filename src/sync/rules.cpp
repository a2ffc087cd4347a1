#include "sync/rules.h"

#include <toml++/toml.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <set>
#include <span>
#include <sstream>
#include <utility>

namespace lockstep::sync {

// Made from config/ at build time.
std::span<const std::pair<std::string_view, std::string_view>> default_rules();
std::span<const std::pair<std::string_view, std::string_view>> default_settings();

namespace {

// Parents first; leads before contacts, so that a conversion is known before the contact it made is heard.
constexpr std::array<std::string_view, 10> kOrder{
    "User",    "Group", "RecordType", "LeadStatus",  "OpportunityStage",
    "Account", "Lead",  "Contact",    "Opportunity", "OpportunityContactRole"};

struct RoleName {
    std::string_view word;
    Role role;
};
constexpr std::array kRoles{RoleName{"reference", Role::Reference}, RoleName{"company", Role::Company},
                            RoleName{"person", Role::Person}, RoleName{"opportunity", Role::Opportunity},
                            RoleName{"contact role", Role::ContactRole}};

struct WayName {
    std::string_view word;
    Way way;
};
constexpr std::array kWays{WayName{"<->", Way::Both}, WayName{"->", Way::In}, WayName{"<-", Way::Out},
                           WayName{"--", Way::None}};

/// Where a fault of a file is: "rules/lead.toml:9".
std::string place(const std::string& file, const toml::node& node) {
    return file + ":" + std::to_string(node.source().begin.line);
}

Error fault(const std::string& where, const std::string& what, std::string hint) {
    return {.kind = Kind::Invalid, .what = where + ": " + what, .hint = std::move(hint)};
}

/// Keys of a table that are not among `known`.
Result<void> only_known(const toml::table& table, const std::string& file, const std::set<std::string_view>& known) {
    for (const auto& [key, node] : table) {
        if (!known.contains(key.str())) {
            std::string list;
            for (const auto word : known) list += (list.empty() ? "" : ", ") + std::string(word);
            return fault(place(file, node), "\"" + std::string(key.str()) + "\" is not a known key",
                         "known keys here: " + list);
        }
    }
    return {};
}

Result<std::vector<std::string>> words_at(const toml::table& table, const std::string& file, std::string_view key) {
    std::vector<std::string> words;
    const toml::node* const node = table.get(key);
    if (node == nullptr) return words;
    const toml::array* const array = node->as_array();
    if (array == nullptr) {
        return fault(place(file, *node), std::string(key) + " is not a list", "write it as [\"A\", \"B\"]");
    }
    for (const auto& item : *array) {
        const auto word = item.value<std::string>();
        if (!word) return fault(place(file, item), std::string(key) + " holds something that is no text", "quote it");
        words.push_back(*word);
    }
    return words;
}

Result<FieldRule> field_rule(const toml::node& node, const std::string& file, Winner winner) {
    static constexpr const char* kShape = "write [\"Email\", \"<->\", \"email\", \"clear\"]";
    const toml::array* const row = node.as_array();
    if (row == nullptr || row->size() < 3 || row->size() > 4) {
        return fault(place(file, node), "a field's rule has three or four parts", kShape);
    }
    std::vector<std::string> parts;
    for (const auto& item : *row) {
        const auto part = item.value<std::string>();
        if (!part) return fault(place(file, node), "a part of a field's rule is no text", kShape);
        parts.push_back(*part);
    }
    const auto* const way = std::ranges::find(kWays, parts[1], &WayName::word);
    if (way == kWays.end()) {
        return fault(place(file, node), "\"" + parts[1] + "\" is not a way", "use one of <->  ->  <-  --");
    }
    const std::string blank = parts.size() == 4 ? parts[3] : "clear";
    if (blank != "clear" && blank != "keep") {
        return fault(place(file, node), "\"" + blank + "\" does not say what a blank does",
                     "use \"clear\" or \"keep\"");
    }
    return FieldRule{.salesforce = parts[0],
                     .way = way->way,
                     .ours = to_lower(parts[2]),
                     .blank = blank == "clear" ? Blank::Clear : Blank::Keep,
                     .winner = winner,
                     .origin = place(file, node)};
}

Result<toml::table> parse(std::string_view text, const std::string& file) {
    try {
        return toml::parse(text);
    } catch (const toml::parse_error& error) {
        return fault(file + ":" + std::to_string(error.source().begin.line), std::string(error.description()),
                     "the file is not valid TOML");
    }
}

Result<ObjectRules> parse_rules(std::string_view text, const std::string& file) {
    const toml::table document = TRY(parse(text, file));
    TRY(only_known(document, file, {"object"}));
    const toml::table* const object = document["object"].as_table();
    if (object == nullptr) return fault(file, "there is no [object]", "start the file with [object]");
    TRY(only_known(*object, file, {"salesforce", "becomes", "winner", "required", "needed", "indexed", "fields"}));

    ObjectRules rules;
    rules.origin = file;
    rules.salesforce = (*object)["salesforce"].value_or(std::string());
    if (rules.salesforce.empty()) {
        return fault(file, "it does not say which Salesforce object it is for", "add salesforce = \"Lead\"");
    }
    const std::string becomes = (*object)["becomes"].value_or(std::string("reference"));
    const auto* const role = std::ranges::find(kRoles, becomes, &RoleName::word);
    if (role == kRoles.end()) {
        return fault(file, "\"" + becomes + "\" is nothing an object can become",
                     "use reference, company, person, opportunity or contact role");
    }
    rules.role = role->role;
    const std::string winner = (*object)["winner"].value_or(std::string("theirs"));
    if (winner != "ours" && winner != "theirs") {
        return fault(file, "\"" + winner + "\" is no winner", "use \"ours\" or \"theirs\"");
    }
    rules.winner = winner == "ours" ? Winner::Ours : Winner::Theirs;
    rules.required = (*object)["required"].value_or(true);
    rules.needed = TRY(words_at(*object, file, "needed"));
    rules.indexed = TRY(words_at(*object, file, "indexed"));

    if (const toml::node* const fields = object->get("fields"); fields != nullptr) {
        const toml::array* const rows = fields->as_array();
        if (rows == nullptr) return fault(place(file, *fields), "fields is not a list", "write fields = [ … ]");
        std::set<std::string> seen;
        for (const auto& row : *rows) {
            FieldRule rule = TRY(field_rule(row, file, rules.winner));
            if (!seen.insert(to_lower(rule.salesforce)).second) {
                return fault(rule.origin, rule.salesforce + " has a rule already", "keep one of the two lines");
            }
            rules.fields.push_back(std::move(rule));
        }
    }
    return rules;
}

Result<void> number_at(const toml::table& table, const std::string& file, std::string_view key, std::int64_t least,
                       std::int64_t& out) {
    const toml::node* const node = table.get(key);
    if (node == nullptr) return {};
    const auto value = node->value_exact<std::int64_t>();
    if (!value || *value < least) {
        return fault(place(file, *node),
                     std::string(key) + " is not a whole number of at least " + std::to_string(least),
                     "config/lockstep.toml tells its unit and default");
    }
    out = *value;
    return {};
}

Result<void> parse_settings(std::string_view text, const std::string& file, Settings& settings) {
    const toml::table document = TRY(parse(text, file));
    TRY(only_known(document, file, {"sync", "opportunity", "log", "history"}));
    const toml::table none;
    const auto section = [&](std::string_view name) -> const toml::table& {
        const toml::table* const found = document[name].as_table();
        return found == nullptr ? none : *found;
    };
    const toml::table& sync = section("sync");
    TRY(only_known(sync, file,
                   {"interval_s", "overlap_s", "bulk_from_rows", "api_version", "api_share_percent", "composite"}));
    std::int64_t share = settings.api_share_percent;
    TRY(number_at(sync, file, "interval_s", 1, settings.interval_s));
    TRY(number_at(sync, file, "overlap_s", 0, settings.overlap_s));
    TRY(number_at(sync, file, "bulk_from_rows", 1, settings.bulk_from_rows));
    TRY(number_at(sync, file, "api_share_percent", 1, share));
    settings.api_share_percent = static_cast<int>(std::min<std::int64_t>(share, 100));
    settings.api_version = sync["api_version"].value_or(settings.api_version);
    if (const toml::node* const composite = sync.get("composite"); composite != nullptr) {
        const auto value = composite->value_exact<bool>();
        if (!value)
            return fault(place(file, *composite), "composite is neither true nor false", "write composite = true");
        settings.composite = *value;
    }

    const toml::table& opportunity = section("opportunity");
    TRY(only_known(opportunity, file, {"currency", "activity_fields"}));
    settings.currency = opportunity["currency"].value_or(settings.currency);
    if (settings.currency != "keep" && settings.currency != "relabel") {
        return fault(place(file, *opportunity.get("currency")), "\"" + settings.currency + "\" is no currency habit",
                     "use \"keep\" or \"relabel\"");
    }
    if (opportunity.contains("activity_fields")) {
        settings.activity_fields = TRY(words_at(opportunity, file, "activity_fields"));
    }
    const toml::table& log = section("log");
    TRY(only_known(log, file, {"keep_days"}));
    TRY(number_at(log, file, "keep_days", 1, settings.log_keep_days));
    const toml::table& history = section("history");
    TRY(only_known(history, file, {"keep_days"}));
    TRY(number_at(history, file, "keep_days", 1, settings.history_keep_days));
    return {};
}

std::optional<std::string> file_text(const std::filesystem::path& path) {
    std::ifstream in(path, std::ios::binary);
    if (!in) return std::nullopt;
    std::ostringstream text;
    text << in.rdbuf();
    return text.str();
}

std::size_t rank(const ObjectRules& rules) {
    const auto* const found = std::ranges::find_if(
        kOrder, [&](std::string_view name) { return equals_ignoring_case(name, rules.salesforce); });
    return static_cast<std::size_t>(found - kOrder.begin());
}

}  // namespace

Result<Rules> Rules::read(const std::string& dir) {
    Rules rules;
    std::map<std::string, std::pair<std::string, std::string>> files;  // name → (text, file as people know it)
    for (const auto& [name, text] : default_rules()) {
        files[std::string(name)] = {std::string(text), "rules/" + std::string(name) + ".toml"};
    }
    const std::filesystem::path own = std::filesystem::path(dir) / "rules";
    std::error_code ignored;
    for (const auto& entry : std::filesystem::directory_iterator(own, ignored)) {
        if (entry.path().extension() != ".toml") continue;
        const auto text = file_text(entry.path());
        if (!text) {
            return Error{.kind = Kind::Invalid,
                         .what = entry.path().string() + " can not be read",
                         .hint = "check its owner and mode"};
        }
        files[entry.path().stem().string()] = {*text, entry.path().string()};
    }
    for (const auto& [name, file] : files) {
        ObjectRules object = TRY(parse_rules(file.first, file.second));
        if (rules.find(object.salesforce) != nullptr) {
            return fault(file.second, object.salesforce + " has a rules file already",
                         "name the file " + to_lower(object.salesforce) + ".toml to replace it");
        }
        rules.objects_.push_back(std::move(object));
    }
    std::ranges::stable_sort(rules.objects_, {}, rank);

    for (const auto& [name, text] : default_settings()) {
        TRY(parse_settings(text, "config/" + std::string(name) + ".toml", rules.settings_));
    }
    const std::filesystem::path own_settings = std::filesystem::path(dir) / "lockstep.toml";
    if (const auto text = file_text(own_settings); text) {
        TRY(parse_settings(*text, own_settings.string(), rules.settings_));
    }
    return rules;
}

const ObjectRules* Rules::find(std::string_view object) const {
    const auto found = std::ranges::find_if(
        objects_, [&](const ObjectRules& o) { return equals_ignoring_case(o.salesforce, object); });
    return found == objects_.end() ? nullptr : &*found;
}

std::vector<FieldRule> effective_rules(const ObjectRules& rules, const record::Object& described,
                                       const record::Object* other) {
    std::vector<FieldRule> effective;
    if (rules.role != Role::Company && rules.role != Role::Person) return effective;
    for (const FieldRule& rule : rules.fields) {
        // A field the user can not see does not exist for the sync; check_rules tells about it.
        if (described.has(rule.salesforce)) effective.push_back(rule);
    }
    for (const record::Field& field : described.fields) {
        if (!field.custom) continue;
        const bool listed = std::ranges::any_of(
            rules.fields, [&](const FieldRule& r) { return equals_ignoring_case(r.salesforce, field.name); });
        if (listed) continue;
        const record::Field* const twin = other == nullptr ? nullptr : other->find(field.name);
        const bool clash = twin != nullptr && twin->form != field.form;
        effective.push_back(
            {.salesforce = field.name,
             .way = Way::In,
             .ours = clash ? to_lower(described.name) + "_" + to_lower(field.name) : to_lower(field.name),
             .blank = Blank::Clear,
             .winner = rules.winner,
             .origin = "default"});
    }
    return effective;
}

std::vector<RuleFinding> check_rules(const ObjectRules& rules, const record::Object& described,
                                     const record::Object* other) {
    std::vector<RuleFinding> findings;
    for (const std::string& field : rules.needed) {
        if (described.has(field)) continue;
        findings.push_back(
            {.object = rules.salesforce,
             .field = field,
             .origin = rules.origin,
             .what = rules.salesforce + "." + field + " can not be read, and the sync can not work without it",
             .hint = "give the sync user read access to the field (field-level security)",
             .fatal = true});
    }
    for (const FieldRule& rule : rules.fields) {
        const record::Field* const field = described.find(rule.salesforce);
        if (field == nullptr) {
            findings.push_back({.object = rules.salesforce,
                                .field = rule.salesforce,
                                .origin = rule.origin,
                                .what = rules.salesforce + "." + rule.salesforce +
                                        " does not exist or is hidden from the sync user; its rule is not used",
                                .hint = "grant read access, or remove the line",
                                .fatal = false});
        } else if ((rule.way == Way::Both || rule.way == Way::Out) && !field->updateable) {
            findings.push_back({.object = rules.salesforce,
                                .field = rule.salesforce,
                                .origin = rule.origin,
                                .what = rules.salesforce + "." + rule.salesforce +
                                        " is to be written, but the sync user may only read it",
                                .hint = "grant edit access, or write \"->\" in the rule",
                                .fatal = false});
        }
    }
    if (other == nullptr) return findings;
    for (const record::Field& field : described.fields) {
        const record::Field* const twin = field.custom ? other->find(field.name) : nullptr;
        if (twin == nullptr || twin->form == field.form) continue;
        findings.push_back({.object = rules.salesforce,
                            .field = field.name,
                            .origin = "default",
                            .what = field.name + " is a " + field.type + " on " + described.name + " and a " +
                                    twin->type + " on " + other->name + ", so each gets a field of its own",
                            .hint = "give both the same type to have one field",
                            .fatal = false});
    }
    return findings;
}

}  // namespace lockstep::sync
