#include "sandbox/admin.h"

#include <algorithm>
#include <numeric>

#include "base/json.h"
#include "base/sfid.h"
#include "base/text.h"
#include "sandbox/alive.h"
#include "sandbox/records.h"

namespace lockstep::sandbox {
namespace {

constexpr std::size_t calls_kept = 10'000;

http::Answer refused(int status, std::string_view what, std::string_view hint) {
    std::string body = "{";
    append_member(body, "error", what);
    append_member(body, "hint", hint);
    return json_answer(status, body + "}");
}
http::Answer refused(const Error& error) {
    return refused(error.kind == Kind::NotFound ? 404 : 400, error.what, error.hint);
}

Error invalid(std::string what, std::string hint) {
    return Error{.kind = Kind::Invalid, .what = std::move(what), .hint = std::move(hint)};
}

/// The body as a JSON object; an empty body is an empty object.
Result<json::object> body_of(const http::Request& request) {
    if (trim(request.body).empty()) return json::object();
    const auto parsed = parse_json(request.body);
    if (!parsed.ok() || !parsed->is_object())
        return invalid("The body must be a JSON object.", "docs/sandbox.md shows a body for each call");
    return parsed->as_object();
}

Result<int> object_of(const Org& org, const std::string& name) {
    const int object = org.schema().find(name);
    if (object < 0)
        return Error{.kind = Kind::NotFound,
                     .what = "There is no object " + name + ".",
                     .hint = "GET /sandbox/objects lists them"};
    return object;
}

Result<std::pair<int, int>> field_of(const Org& org, const std::string& object_name, const std::string& name) {
    const int object = TRY(object_of(org, object_name));
    const int field = org.schema().at(object).find(name);
    if (field < 0)
        return Error{.kind = Kind::NotFound,
                     .what = "The object " + org.schema().at(object).name + " has no field " + name + ".",
                     .hint = "GET /services/data/v62.0/sobjects/" + org.schema().at(object).name +
                             "/describe lists the fields that the connected user sees"};
    return std::pair(object, field);
}

/// Takes over what `given` says about a field. Errors: Invalid, naming the key.
Result<void> apply(const json::object& given, Field& field) {
    const std::pair<const char*, std::string Field::*> texts[] = {
        {"label", &Field::label},
        {"relationship", &Field::relationship},
        {"child_relationship", &Field::child_relationship},
        {"formula", &Field::formula},
        {"default", &Field::default_value},
        {"auto_number_format", &Field::auto_number_format},
        {"help", &Field::help},
    };
    const std::pair<const char*, int Field::*> numbers[] = {
        {"length", &Field::length}, {"precision", &Field::precision}, {"scale", &Field::scale}};
    const std::pair<const char*, bool Field::*> flags[] = {
        {"createable", &Field::createable},
        {"updateable", &Field::updateable},
        {"nillable", &Field::nillable},
        {"external_id", &Field::external_id},
        {"unique", &Field::unique},
        {"id_lookup", &Field::id_lookup},
        {"case_sensitive", &Field::case_sensitive},
        {"restricted_picklist", &Field::restricted_picklist},
        {"filterable", &Field::filterable},
        {"sortable", &Field::sortable},
        {"blank_as_zero", &Field::blank_as_zero},
        {"deleted_with_parent", &Field::deleted_with_parent},
        {"tracked", &Field::history_tracked},
    };
    for (const auto& [key, value] : given) {
        bool known = key == "name" || key == "type" || key == "visible";
        for (const auto& [name, member] : texts)
            if (key == name && value.is_string() && !(key == "formula" && value.as_string().empty())) {
                field.*member = std::string(value.as_string());
                known = true;
            }
        for (const auto& [name, member] : numbers)
            if (key == name && value.is_int64()) {
                field.*member = static_cast<int>(value.as_int64());
                known = true;
            }
        for (const auto& [name, member] : flags)
            if (key == name && value.is_bool()) {
                field.*member = value.as_bool();
                known = true;
            }
        if (key == "reference_to" && value.is_array()) {
            field.reference_to.clear();
            for (const auto& target : value.as_array())
                if (target.is_string()) field.reference_to.emplace_back(target.as_string());
            known = true;
        } else if (key == "picklist" && value.is_array()) {
            field.picklist.clear();
            for (const auto& pick : value.as_array())
                if (pick.is_string())
                    field.picklist.push_back(
                        {.value = std::string(pick.as_string()), .label = std::string(pick.as_string())});
            known = true;
        }
        if (!known)
            return invalid("A field has no attribute \"" + std::string(key) + "\", or its value does not fit.",
                           "docs/sandbox.md lists the attributes");
    }
    if (!field.formula.empty()) make_formula(field);
    return {};
}

Result<Field> new_field_of(const json::object& given) {
    const auto name = text_at(given, "name");
    const auto type = type_named(text_at(given, "type").value_or("string"));
    if (!name || name->empty() || !type)
        return invalid("A field needs a name, and a type that exists.",
                       "for example {\"name\":\"Score__c\",\"type\":\"double\"}");
    Field field = new_field(*name, *type, static_cast<int>(int_at(given, "length").value_or(0)));
    field.custom = name->size() > 3 && name->ends_with("__c");
    TRY(apply(given, field));
    if (*type == Type::Reference && field.relationship.empty())
        field.relationship = field.custom ? name->substr(0, name->size() - 1) + "r" : *name;
    return field;
}

std::string text_of(const Org& org, int object, std::int64_t row, const char* name) {
    const int field = org.schema().at(object).find(name);
    return field < 0 ? "" : plain_text(org.schema().at(object).fields[field].type, org.value(object, row, field));
}

/// Id of the user called `who`: by id, name, user name, alias or first name. An empty `who`: the first active person
/// who is not the connected user. Call under a lock.
Result<std::string> actor_of(const Org& org, const std::string& who) {
    const int users = org.schema().find("User");
    for (std::int64_t row = 0; users >= 0 && row < org.rows(users); ++row) {
        const std::string id = org.id_of(users, row);
        if (who.empty()) {
            const bool works =
                text_of(org, users, row, "IsActive") == "true" && text_of(org, users, row, "UserType") == "Standard";
            if (works && id != org.integration_user_id()) return id;
            continue;
        }
        if (normalize_id(who) == id) return id;
        for (const char* name : {"Name", "Username", "Alias", "FirstName"})
            if (equals_ignoring_case(text_of(org, users, row, name), who)) return id;
    }
    if (who.empty()) return org.integration_user_id();
    return Error{.kind = Kind::NotFound,
                 .what = "There is no user called " + who + ".",
                 .hint = "GET /sandbox/users lists them"};
}

/// Values as the admin names them: every field of the object, whether the connected user sees it or not.
Result<Values> values_in(const Org& org, int object, const json::object& body) {
    const json::object* given = object_at(body, "values");
    if (!given) return invalid("The body has no \"values\".", "for example {\"values\":{\"LastName\":\"Weber\"}}");
    const auto input = TRY(parse_record(json::serialize(*given)));
    Values values;
    for (const auto& field : input.fields) {
        if (field.parent) {
            auto parent = TRY(parent_of(org, object, field.name, *field.parent));
            values.push_back(std::move(parent));
            continue;
        }
        if (org.schema().at(object).find(field.name) < 0)
            return Error{.kind = Kind::NotFound,
                         .what = "The object " + org.schema().at(object).name + " has no field " + field.name + ".",
                         .hint = "add it with POST /sandbox/objects/" + org.schema().at(object).name + "/fields"};
        values.emplace_back(field.name, field.value);
    }
    return values;
}

http::Answer result_answer(const WriteResult& result, int status_when_good) {
    return json_answer(result.ok() ? status_when_good : 400, result_json(result, false));
}

}  // namespace

// ---- the log of calls

void CallLog::add(LoggedCall call) {
    const std::scoped_lock lock(mutex_);
    call.number = ++total_;
    ++counts_[call.kind.empty() ? "unknown" : call.kind];
    calls_.push_back(std::move(call));
    if (calls_.size() > calls_kept) calls_.pop_front();
}

void CallLog::clear() {
    const std::scoped_lock lock(mutex_);
    calls_.clear();
    counts_.clear();
}

std::string CallLog::counts_json() {
    const std::scoped_lock lock(mutex_);
    json::object counts;
    for (const auto& [kind, count] : counts_) counts[kind] = count;
    return json::serialize(counts);
}

std::string CallLog::to_json(std::int64_t after, std::int64_t calls_max) {
    const std::string counts = counts_json();
    const std::scoped_lock lock(mutex_);
    json::array shown;
    for (const auto& call : calls_) {
        if (call.number <= after) continue;
        if (static_cast<std::int64_t>(shown.size()) >= calls_max) break;
        json::array faults;
        for (const auto& kind : call.faults) faults.push_back(json::value(kind));
        shown.push_back(json::object{{"number", call.number},
                                     {"at", to_string(call.at)},
                                     {"method", call.method},
                                     {"target", call.target},
                                     {"kind", call.kind},
                                     {"status", call.status},
                                     {"ms", call.ms},
                                     {"counted", call.counted},
                                     {"faults", std::move(faults)}});
    }
    return "{\"total\":" + std::to_string(total_) + ",\"counts\":" + counts + ",\"calls\":" + json::serialize(shown) +
           "}";
}

// ---- routes

struct Admin::Route {
    const char* method;
    const char* pattern;
    http::Answer (Admin::*handler)(const http::Request&, const Args&);
    const char* what;
};

const std::vector<Admin::Route>& Admin::routes() {
    static const std::vector<Route> table = {
        {"GET", "/sandbox", &Admin::help, "this list"},
        {"GET", "/sandbox/state", &Admin::state, "clock, rows, usage, counts of calls"},
        {"GET", "/sandbox/settings", &Admin::settings, "the settings"},
        {"PATCH", "/sandbox/settings", &Admin::change_settings, "change some: {\"quota\":1000}"},
        {"POST", "/sandbox/clock", &Admin::move_clock, "move the org's clock: {\"seconds\":3600}"},
        {"GET", "/sandbox/calls", &Admin::calls, "calls received: ?after=NUMBER&limit=N"},
        {"DELETE", "/sandbox/calls", &Admin::forget_calls, "forget them"},
        {"GET", "/sandbox/faults", &Admin::faults, "faults in force, and how often each fired"},
        {"GET", "/sandbox/faults/kinds", &Admin::fault_kinds, "all kinds of faults and what each of them does"},
        {"POST", "/sandbox/faults", &Admin::add_faults, "add one or a list: {\"kind\":\"http_503\",\"count\":2}"},
        {"DELETE", "/sandbox/faults", &Admin::clear_faults, "remove all"},
        {"DELETE", "/sandbox/faults/{}", &Admin::remove_fault, "remove one by its number"},
        {"GET", "/sandbox/users", &Admin::users, "who works in the org"},
        {"GET", "/sandbox/objects", &Admin::objects, "all objects with their rows"},
        {"POST", "/sandbox/objects", &Admin::add_object, "add one: {\"name\":\"Visit__c\",\"fields\":[…]}"},
        {"PATCH", "/sandbox/objects/{}", &Admin::change_object,
         "hide, show or change who sees its records: {\"visible\":false}, {\"sharing\":\"private\"}"},
        {"POST", "/sandbox/objects/{}/fields", &Admin::add_field, "add: {\"name\":\"Score__c\",\"type\":\"double\"}"},
        {"PATCH", "/sandbox/objects/{}/fields/{}", &Admin::change_field, "hide, show or change: {\"visible\":false}"},
        {"DELETE", "/sandbox/objects/{}/fields/{}", &Admin::remove_field, "delete the field"},
        {"POST", "/sandbox/objects/{}/fields/{}/undelete", &Admin::restore_field, "bring a deleted field back"},
        {"POST", "/sandbox/currencies", &Admin::make_currencies,
         "several currencies, the corporate one first: {\"currencies\":[\"EUR\",\"USD 1.0843\"]}"},
        {"POST", "/sandbox/records/{}", &Admin::create_record, "create: {\"as\":\"Nina\",\"values\":{…}}"},
        {"GET", "/sandbox/records/{}/{}", &Admin::show_record, "every field, hidden ones too"},
        {"PATCH", "/sandbox/records/{}/{}", &Admin::edit_record, "edit: {\"as\":\"Nina\",\"values\":{…}}"},
        {"DELETE", "/sandbox/records/{}/{}", &Admin::delete_record, "into the recycle bin; ?as=NAME"},
        {"POST", "/sandbox/records/{}/{}/{}", &Admin::act_on_record,
         "undelete, purge, convert, merge, share or unshare"},
        {"POST", "/sandbox/alive", &Admin::live, "let the org's people make changes now: {\"changes\":100}"},
        {"POST", "/sandbox/late", &Admin::delay, "late commits from now on: {\"object\":\"Lead\",\"seconds\":600}"},
        {"POST", "/sandbox/bin/purge", &Admin::purge_bin,
         "empty the recycle bin: {\"object\":\"Lead\",\"before\":\"2026-01-01T00:00:00Z\"}"},
        {"POST", "/sandbox/delete-log/purge", &Admin::purge_log,
         "forget deletions: {\"before\":\"2026-01-01T00:00:00Z\"}"},
        {"DELETE", "/sandbox/sessions", &Admin::end_sessions, "end every session"},
        {"DELETE", "/sandbox/locators", &Admin::close_locators, "expire every query locator"},
        {"POST", "/sandbox/quota", &Admin::use_quota, "say how many calls were made: {\"used\":99990}"},
    };
    return table;
}

http::Answer Admin::handle(const http::Request& request) {
    const auto parts = path_parts(request.path());
    std::string allowed;
    for (const auto& route : routes()) {
        Args args;
        if (!fits(route.pattern, parts, args)) continue;
        if (request.method == route.method) return (this->*route.handler)(request, args);
        allowed += (allowed.empty() ? "" : ", ") + std::string(route.method);
    }
    if (allowed.empty()) return refused(404, "There is no such admin resource.", "GET /sandbox lists them");
    return refused(405, "This resource takes " + allowed + ".", "GET /sandbox lists them");
}

http::Answer Admin::help(const http::Request&, const Args&) {
    std::string body = "{\"routes\":[";
    for (const auto& route : routes()) {
        if (body.back() != '[') body += ',';
        body += '{';
        append_member(body, "method", route.method);
        append_member(body, "path", route.pattern);
        append_member(body, "what", route.what);
        body += '}';
    }
    return json_answer(200, body + "]}");
}

http::Answer Admin::state(const http::Request&, const Args&) {
    std::string body = "{";
    const auto lock = reach_.org.read_lock();
    append_member(body, "now", to_string(reach_.org.now()));
    append_member(body, "organization_id", reach_.org.organization_id());
    append_member(body, "user_id", reach_.org.integration_user_id());
    append_member(body, "username", reach_.oauth.credentials().username);
    append_raw_member(body, "api_calls",
                      "{\"used\":" + std::to_string(reach_.quota.used(reach_.org.now())) +
                          ",\"max\":" + std::to_string(reach_.settings.get().quota) + "}");
    append_raw_member(body, "calls", reach_.calls.counts_json());
    append_raw_member(body, "org", reach_.org.summary_json());
    return json_answer(200, body + "}");
}

http::Answer Admin::settings(const http::Request&, const Args&) {
    return json_answer(200, reach_.settings.to_json());
}

http::Answer Admin::change_settings(const http::Request& request, const Args&) {
    const auto changed = reach_.settings.change(request.body);
    return changed.ok() ? json_answer(200, reach_.settings.to_json()) : refused(changed.error());
}

http::Answer Admin::move_clock(const http::Request& request, const Args&) {
    const auto body = body_of(request);
    if (!body.ok()) return refused(body.error());
    const auto seconds = int_at(*body, "seconds");
    if (!seconds) return refused(invalid("The body has no \"seconds\".", "for example {\"seconds\":3600}"));
    const auto lock = reach_.org.write_lock();
    reach_.org.move_clock(*seconds);
    return json_answer(200, "{\"now\":\"" + to_string(reach_.org.now()) + "\"}");
}

http::Answer Admin::calls(const http::Request& request, const Args&) {
    return json_answer(200, reach_.calls.to_json(parse_int(request.query("after")).value_or(0),
                                                 parse_int(request.query("limit")).value_or(1000)));
}

http::Answer Admin::forget_calls(const http::Request&, const Args&) {
    reach_.calls.clear();
    return empty_answer(204);
}

http::Answer Admin::faults(const http::Request&, const Args&) {
    return json_answer(200, reach_.faults.to_json());
}

http::Answer Admin::fault_kinds(const http::Request&, const Args&) {
    static const char* const stages[] = {"instead", "handling", "after"};
    std::string kinds = "[";
    for (const auto& kind : sandbox::fault_kinds()) {
        if (kinds.size() > 1) kinds += ',';
        kinds += '{';
        append_member(kinds, "kind", kind.name);
        append_member(kinds, "acts", stages[static_cast<int>(kind.stage)]);
        append_member(kinds, "what", kind.what);
        kinds += '}';
    }
    return json_answer(200, "{\"kinds\":" + kinds + "]}");
}

http::Answer Admin::add_faults(const http::Request& request, const Args&) {
    const auto numbers = reach_.faults.add(request.body);
    if (!numbers.ok()) return refused(numbers.error());
    std::string list;
    for (const auto number : *numbers) list += (list.empty() ? "" : ",") + std::to_string(number);
    return json_answer(201, "{\"numbers\":[" + list + "]}");
}

http::Answer Admin::clear_faults(const http::Request&, const Args&) {
    reach_.faults.clear();
    return empty_answer(204);
}

http::Answer Admin::remove_fault(const http::Request&, const Args& args) {
    if (reach_.faults.remove(parse_int(args[0]).value_or(0))) return empty_answer(204);
    return refused(404, "There is no fault " + args[0] + ".", "GET /sandbox/faults lists them");
}

http::Answer Admin::users(const http::Request&, const Args&) {
    const auto lock = reach_.org.read_lock();
    const int users = reach_.org.schema().find("User");
    std::string body = "{\"users\":[";
    for (std::int64_t row = 0; users >= 0 && row < reach_.org.rows(users); ++row) {
        const std::string id = reach_.org.id_of(users, row);
        if (body.back() != '[') body += ',';
        body += '{';
        append_member(body, "id", id);
        append_member(body, "name", text_of(reach_.org, users, row, "Name"));
        append_member(body, "username", text_of(reach_.org, users, row, "Username"));
        append_raw_member(body, "active", text_of(reach_.org, users, row, "IsActive") == "true" ? "true" : "false");
        append_raw_member(body, "connected", id == reach_.org.integration_user_id() ? "true" : "false");
        body += '}';
    }
    return json_answer(200, body + "]}");
}

// ---- schema

http::Answer Admin::objects(const http::Request&, const Args&) {
    const auto lock = reach_.org.read_lock();
    const Schema& schema = reach_.org.schema();
    std::string body = "{\"objects\":[";
    for (int object = 0; object < schema.size(); ++object) {
        if (schema.at(object).removed) continue;
        if (body.back() != '[') body += ',';
        body += '{';
        append_member(body, "name", schema.at(object).name);
        append_raw_member(body, "rows", std::to_string(reach_.org.live_rows(object)));
        append_raw_member(body, "visible", reach_.org.visible(object, -1) ? "true" : "false");
        std::vector<std::string> hidden;
        for (int field = 0; field < static_cast<int>(schema.at(object).fields.size()); ++field)
            if (!schema.at(object).fields[field].removed && !reach_.org.visible(object, field))
                hidden.push_back(schema.at(object).fields[field].name);
        append_raw_member(body, "hidden_fields", json_list(hidden));
        body += '}';
    }
    return json_answer(200, body + "]}");
}

http::Answer Admin::add_object(const http::Request& request, const Args&) {
    const auto body = body_of(request);
    if (!body.ok()) return refused(body.error());
    Object object;
    object.name = text_at(*body, "name").value_or("");
    if (object.name.empty()) return refused(invalid("An object needs a name.", "for example {\"name\":\"Visit__c\"}"));
    object.custom = object.name.ends_with("__c");
    object.label =
        text_at(*body, "label").value_or(object.custom ? object.name.substr(0, object.name.size() - 3) : object.name);
    object.label_plural = text_at(*body, "label_plural").value_or(object.label + "s");
    object.key_prefix = text_at(*body, "key_prefix").value_or("");
    if (const json::array* fields = array_at(*body, "fields")) {
        for (const auto& given : *fields) {
            if (!given.is_object()) return refused(invalid("Each field must be a JSON object.", "see docs/sandbox.md"));
            auto field = new_field_of(given.as_object());
            if (!field.ok()) return refused(field.error());
            object.fields.push_back(std::move(*field));
        }
    }
    const auto lock = reach_.org.write_lock();
    if (reach_.org.schema().find(object.name) >= 0)
        return refused(409, "The object " + object.name + " exists already.", "choose another name");
    const auto fits = reach_.org.check_change([&](Schema& schema) { schema.add_object(object); });
    if (!fits.ok()) return refused(fits.error());
    const int added = reach_.org.add_object(std::move(object));
    const Object& made = reach_.org.schema().at(added);
    std::string answer = "{";
    append_member(answer, "name", made.name);
    append_member(answer, "key_prefix", made.key_prefix);
    return json_answer(201, answer + "}");
}

http::Answer Admin::change_object(const http::Request& request, const Args& args) {
    const auto body = body_of(request);
    if (!body.ok()) return refused(body.error());
    constexpr std::pair<std::string_view, Org::Sharing> models[] = {{"private", Org::Sharing::Private},
                                                                    {"read", Org::Sharing::Read},
                                                                    {"write", Org::Sharing::ReadWrite},
                                                                    {"parent", Org::Sharing::ByParent}};
    constexpr std::pair<std::string_view, bool Org::Rights::*> rights[] = {{"create", &Org::Rights::create},
                                                                           {"edit", &Org::Rights::edit},
                                                                           {"delete", &Org::Rights::remove},
                                                                           {"view_all", &Org::Rights::view_all},
                                                                           {"modify_all", &Org::Rights::modify_all}};
    const auto lock = reach_.org.write_lock();
    const auto object = object_of(reach_.org, args[0]);
    if (!object.ok()) return refused(object.error());
    // All is read before anything is changed.
    std::optional<bool> visible;
    std::optional<Org::Sharing> sharing;
    Org::Rights allowed = reach_.org.rights(*object);
    for (const auto& [key, value] : *body) {
        bool known = key == "visible" && value.is_bool();
        if (known) visible = value.as_bool();
        for (const auto& [word, model] : models)
            if (key == "sharing" && value.is_string() && value.as_string() == word) {
                sharing = model;
                known = true;
            }
        for (const auto& [word, right] : rights)
            if (key == word && value.is_bool()) {
                allowed.*right = value.as_bool();
                known = true;
            }
        if (!known)
            return refused(
                invalid("An object has no attribute \"" + std::string(key) + "\", or its value does not fit.",
                        "use visible, sharing (private, read, write, parent), create, edit, delete, "
                        "view_all, modify_all"));
    }
    if (body->empty()) return refused(invalid("The body is empty.", "for example {\"visible\":false}"));
    if (visible) reach_.org.set_visible(*object, -1, *visible);
    if (sharing) reach_.org.set_sharing(*object, *sharing);
    reach_.org.set_rights(*object, allowed);
    return empty_answer(204);
}

http::Answer Admin::make_currencies(const http::Request& request, const Args&) {
    const auto body = body_of(request);
    if (!body.ok()) return refused(body.error());
    std::vector<Org::Currency> currencies;
    if (const json::array* given = array_at(*body, "currencies"))
        for (const auto& text : *given) {
            auto currency = currency_of(text.is_string() ? std::string_view(text.as_string()) : "");
            if (!currency.ok()) return refused(currency.error());
            currencies.push_back(std::move(*currency));
        }
    const auto lock = reach_.org.write_lock();
    const auto made = reach_.org.make_currencies(currencies);
    return made.ok() ? empty_answer(204) : refused(made.error());
}

http::Answer Admin::add_field(const http::Request& request, const Args& args) {
    const auto body = body_of(request);
    if (!body.ok()) return refused(body.error());
    auto field = new_field_of(*body);
    if (!field.ok()) return refused(field.error());
    const auto lock = reach_.org.write_lock();
    const auto object = object_of(reach_.org, args[0]);
    if (!object.ok()) return refused(object.error());
    if (reach_.org.schema().at(*object).find(field->name) >= 0)
        return refused(409, "The field " + field->name + " exists already.", "change it with PATCH");
    if (const auto trackable = reach_.org.can_track(*object, *field); !trackable.ok())
        return refused(trackable.error());
    const auto fits = reach_.org.check_change([&](Schema& schema) { schema.add_field(*object, *field); });
    if (!fits.ok()) return refused(fits.error());
    const std::string name = field->name;
    const int added = reach_.org.add_field(*object, std::move(*field));
    reach_.org.set_visible(*object, added, bool_at(*body, "visible").value_or(true));
    return json_answer(201, "{\"name\":" + json_text(name) + "}");
}

namespace {

/// The field with another type: sizes and flags are those of a new one.
Field retyped(const Field& field, Type type) {
    Field made = new_field(field.name, type);
    made.label = field.label;
    made.help = field.help;
    made.history_tracked = field.history_tracked;
    made.external_id = field.external_id;
    made.unique = field.unique;
    made.id_lookup = field.id_lookup;
    made.case_sensitive = field.case_sensitive;
    made.picklist = field.picklist;
    made.changed_at = field.changed_at;
    return made;
}

}  // namespace

http::Answer Admin::change_field(const http::Request& request, const Args& args) {
    const auto body = body_of(request);
    if (!body.ok()) return refused(body.error());
    const auto lock = reach_.org.write_lock();
    const auto place = field_of(reach_.org, args[0], args[1]);
    if (!place.ok()) return refused(place.error());
    const int object = place->first;
    const int index = place->second;
    Field field = reach_.org.schema().at(object).fields[index];
    if (const auto type_text = text_at(*body, "type")) {
        const auto type = type_named(*type_text);
        if (!type) return refused(invalid("There is no type " + *type_text + ".", "for example string, double, date"));
        if (*type != field.type) {
            const bool fixed = !field.custom || field.calculated || field.auto_number ||
                               field.type == Type::Reference || *type == Type::Reference;
            if (fixed)
                return refused(invalid("The field " + field.name + " can not become a " + *type_text + ".",
                                       "only custom fields that hold values get another type; add a field instead"));
            field = retyped(field, *type);
        }
    }
    if (const auto name = text_at(*body, "name"); name && *name != field.name) {
        if (!field.custom || !name->ends_with("__c"))
            return refused(invalid("Only custom fields can be renamed, to names that end in __c.", "change the label"));
        const int taken = reach_.org.schema().at(object).find(*name);
        if (taken >= 0 && taken != index)
            return refused(409, "The field " + *name + " exists already.", "choose another name");
        if (field.relationship == field.name.substr(0, field.name.size() - 1) + "r")
            field.relationship = name->substr(0, name->size() - 1) + "r";
        field.name = *name;
    }
    if (const auto changed = apply(*body, field); !changed.ok()) return refused(changed.error());
    if (const auto trackable = reach_.org.can_track(object, field); !trackable.ok()) return refused(trackable.error());
    if (body->size() > (body->contains("visible") ? 1U : 0U)) {
        const auto fits = reach_.org.check_change([&](Schema& schema) { schema.change_field(object, index, field); });
        if (!fits.ok()) return refused(fits.error());
        reach_.org.change_field(object, index, std::move(field));
    }
    if (const auto visible = bool_at(*body, "visible")) reach_.org.set_visible(object, index, *visible);
    return empty_answer(204);
}

http::Answer Admin::remove_field(const http::Request&, const Args& args) {
    const auto lock = reach_.org.write_lock();
    const auto place = field_of(reach_.org, args[0], args[1]);
    if (!place.ok()) return refused(place.error());
    Field field = reach_.org.schema().at(place->first).fields[place->second];
    if (!field.custom) return refused(400, "Only custom fields can be deleted.", "hide it with {\"visible\":false}");
    field.removed = true;
    const auto fits =
        reach_.org.check_change([&](Schema& schema) { schema.change_field(place->first, place->second, field); });
    if (!fits.ok()) return refused(fits.error());
    reach_.org.change_field(place->first, place->second, std::move(field));
    return empty_answer(204);
}

http::Answer Admin::restore_field(const http::Request&, const Args& args) {
    const auto lock = reach_.org.write_lock();
    const auto object = object_of(reach_.org, args[0]);
    if (!object.ok()) return refused(object.error());
    const auto& fields = reach_.org.schema().at(*object).fields;
    // The one deleted last, should several have had the name.
    const auto found = std::find_if(fields.rbegin(), fields.rend(), [&](const Field& field) {
        return field.removed && equals_ignoring_case(field.name, args[1]);
    });
    if (found == fields.rend())
        return refused(404, "No field " + args[1] + " was deleted.", "deleted fields keep the name they had");
    if (reach_.org.schema().at(*object).find(args[1]) >= 0)
        return refused(409, "The field " + args[1] + " exists already.", "rename that one first");
    const int index = static_cast<int>(fields.size() - 1) - static_cast<int>(found - fields.rbegin());
    Field field = *found;
    field.removed = false;
    reach_.org.change_field(*object, index, std::move(field));
    return empty_answer(204);
}

// ---- records

namespace {

/// Who is to write what, as a request says it.
struct AskedWrite {
    int object;
    std::string actor;
    Values values;
};

Result<AskedWrite> asked_write(const Org& org, const http::Request& request, const std::string& object_name) {
    const auto body = TRY(body_of(request));
    const int object = TRY(object_of(org, object_name));
    auto actor = TRY(actor_of(org, text_at(body, "as").value_or("")));
    auto values = TRY(values_in(org, object, body));
    return AskedWrite{object, std::move(actor), std::move(values)};
}

}  // namespace

http::Answer Admin::create_record(const http::Request& request, const Args& args) {
    const auto lock = reach_.org.write_lock();
    const auto asked = asked_write(reach_.org, request, args[0]);
    if (!asked.ok()) return refused(asked.error());
    return result_answer(reach_.org.insert(asked->object, asked->values, asked->actor), 201);
}

http::Answer Admin::show_record(const http::Request&, const Args& args) {
    const auto lock = reach_.org.read_lock();
    const auto object = object_of(reach_.org, args[0]);
    if (!object.ok()) return refused(object.error());
    const auto id = normalize_id(args[1]);
    const auto row = id ? reach_.org.row_of(*object, *id) : std::nullopt;
    if (!row) return refused(404, "There is no such record.", "give its id of 15 or 18 characters");
    static const char* const lives[] = {"live", "in the bin", "gone"};
    std::vector<int> fields;
    const Object& described = reach_.org.schema().at(*object);
    for (int field = 0; field < static_cast<int>(described.fields.size()); ++field)
        if (!described.fields[field].removed) fields.push_back(field);
    std::string body = "{";
    append_member(body, "life", lives[static_cast<int>(reach_.org.life(*object, *row))]);
    append_raw_member(body, "visible_yet", reach_.org.visible_yet(*object, *row) ? "true" : "false");
    append_raw_member(body, "record", record_json(reach_.org, *object, *row, "62.0", fields));
    return json_answer(200, body + "}");
}

http::Answer Admin::edit_record(const http::Request& request, const Args& args) {
    const auto lock = reach_.org.write_lock();
    const auto asked = asked_write(reach_.org, request, args[0]);
    if (!asked.ok()) return refused(asked.error());
    return result_answer(
        reach_.org.update(asked->object, normalize_id(args[1]).value_or(args[1]), asked->values, asked->actor), 200);
}

http::Answer Admin::delete_record(const http::Request& request, const Args& args) {
    const auto lock = reach_.org.write_lock();
    const auto object = object_of(reach_.org, args[0]);
    if (!object.ok()) return refused(object.error());
    const auto actor = actor_of(reach_.org, request.query("as"));
    if (!actor.ok()) return refused(actor.error());
    return result_answer(reach_.org.remove(*object, normalize_id(args[1]).value_or(args[1]), *actor), 200);
}

http::Answer Admin::act_on_record(const http::Request& request, const Args& args) {
    const auto body = body_of(request);
    if (!body.ok()) return refused(body.error());
    const auto lock = reach_.org.write_lock();
    const auto object = object_of(reach_.org, args[0]);
    if (!object.ok()) return refused(object.error());
    const auto actor = actor_of(reach_.org, text_at(*body, "as").value_or(""));
    if (!actor.ok()) return refused(actor.error());
    const std::string id = normalize_id(args[1]).value_or(args[1]);
    const std::string& act = args[2];
    if (act == "undelete") return result_answer(reach_.org.undelete(*object, id, *actor), 200);
    if (act == "purge") return result_answer(reach_.org.purge(*object, id), 200);
    if (act == "share" || act == "unshare") {
        const auto row = reach_.org.row_of(*object, id);
        if (!row) return refused(404, "There is no such record.", "give its id of 15 or 18 characters");
        if (act == "share")
            reach_.org.share(*object, *row, bool_at(*body, "edit").value_or(false));
        else
            reach_.org.unshare(*object, *row);
        return empty_answer(204);
    }
    if (act == "merge") {
        std::vector<std::string> losers;
        if (const json::array* given = array_at(*body, "losers"))
            for (const auto& loser : *given)
                if (loser.is_string()) losers.push_back(normalize_id(std::string(loser.as_string())).value_or(""));
        if (losers.empty())
            return refused(invalid("The body has no \"losers\".", "for example {\"losers\":[\"00Q…\"]}"));
        Values values;
        if (object_at(*body, "values")) {
            auto given = values_in(reach_.org, *object, *body);
            if (!given.ok()) return refused(given.error());
            values = std::move(*given);
        }
        return result_answer(reach_.org.merge(*object, id, losers, values, *actor), 200);
    }
    if (act == "convert" && equals_ignoring_case(reach_.org.schema().at(*object).name, "Lead")) {
        Org::Conversion how;
        how.account_id = text_at(*body, "account_id").value_or("");
        how.contact_id = text_at(*body, "contact_id").value_or("");
        how.opportunity_id = text_at(*body, "opportunity_id").value_or("");
        how.opportunity_name = text_at(*body, "opportunity_name").value_or("");
        how.with_opportunity = bool_at(*body, "with_opportunity").value_or(true);
        if (const auto status = text_at(*body, "converted_status")) how.converted_status = *status;
        const ConvertedLead converted = reach_.org.convert_lead(id, how, *actor);
        if (!converted.ok()) return result_answer({.id = id, .errors = converted.errors}, 200);
        std::string answer = "{";
        append_member(answer, "account_id", converted.account_id);
        append_member(answer, "contact_id", converted.contact_id);
        append_member(answer, "opportunity_id", converted.opportunity_id);
        return json_answer(200, answer + "}");
    }
    return refused(404, "A record can not be told to " + act + ".",
                   "use undelete, purge, merge, share, unshare, or convert for a Lead");
}

// ---- the org as a whole

http::Answer Admin::live(const http::Request& request, const Args&) {
    const auto body = body_of(request);
    if (!body.ok()) return refused(body.error());
    const std::int64_t changes = int_at(*body, "changes").value_or(1);
    constexpr std::int64_t changes_max = 1'000'000;
    if (changes < 0 || changes > changes_max)
        return refused(invalid("\"changes\" must lie between 0 and 1000000.", "for example {\"changes\":100}"));
    // In small steps, so that readers get their turn.
    constexpr std::int64_t step = 100;
    LifeReport report;
    for (std::int64_t left = changes; left > 0; left -= step) {
        const auto lock = reach_.org.write_lock();
        const std::scoped_lock random_lock(reach_.random_mutex);
        const LifeReport done = sandbox::live(reach_.org, reach_.world.random, static_cast<int>(std::min(left, step)));
        report.done += done.done;
        report.refused += done.refused;
    }
    return json_answer(
        200, "{\"done\":" + std::to_string(report.done) + ",\"refused\":" + std::to_string(report.refused) + "}");
}

http::Answer Admin::delay(const http::Request& request, const Args&) {
    const auto body = body_of(request);
    if (!body.ok()) return refused(body.error());
    const auto seconds = int_at(*body, "seconds");
    if (!seconds || *seconds < 0)
        return refused(invalid("The body has no \"seconds\".", "for example {\"object\":\"Lead\",\"seconds\":600}"));
    const auto lock = reach_.org.write_lock();
    const auto object = object_of(reach_.org, text_at(*body, "object").value_or(""));
    if (!object.ok()) return refused(object.error());
    reach_.rest.lateness().plan(*object, reach_.org.now(), *seconds);
    reach_.org.delay_visibility(*object, *seconds);
    return empty_answer(204);
}

namespace {

/// "before" of the body; without it `otherwise`.
Result<Timestamp> before_of(const json::object& body, Timestamp otherwise) {
    const auto text = text_at(body, "before");
    if (!text) return otherwise;
    const auto at = parse_timestamp(*text);
    if (!at) return invalid("\"before\" is no time.", "for example {\"before\":\"2026-01-01T00:00:00Z\"}");
    return *at;
}

}  // namespace

http::Answer Admin::purge_bin(const http::Request& request, const Args&) {
    const auto body = body_of(request);
    if (!body.ok()) return refused(body.error());
    const auto lock = reach_.org.write_lock();
    // Deleted in this very second counts as well.
    const auto before = before_of(*body, reach_.org.now().plus(1));
    if (!before.ok()) return refused(before.error());
    std::vector<int> objects;
    if (const auto name = text_at(*body, "object")) {
        const auto object = object_of(reach_.org, *name);
        if (!object.ok()) return refused(object.error());
        objects.push_back(*object);
    } else {
        objects.resize(static_cast<std::size_t>(reach_.org.schema().size()));
        std::iota(objects.begin(), objects.end(), 0);
    }
    std::int64_t purged = 0;
    for (const int object : objects) purged += reach_.org.purge_bin(object, *before);
    return json_answer(200, "{\"purged\":" + std::to_string(purged) + "}");
}

http::Answer Admin::purge_log(const http::Request& request, const Args&) {
    const auto body = body_of(request);
    if (!body.ok()) return refused(body.error());
    const auto lock = reach_.org.write_lock();
    const auto before = before_of(*body, reach_.org.now());
    if (!before.ok()) return refused(before.error());
    reach_.org.purge_delete_log(*before);
    return json_answer(200, "{\"earliest\":\"" + to_string(reach_.org.earliest_delete_log()) + "\"}");
}

http::Answer Admin::end_sessions(const http::Request&, const Args&) {
    reach_.oauth.end_all();
    return empty_answer(204);
}

http::Answer Admin::close_locators(const http::Request&, const Args&) {
    reach_.rest.close_locators();
    return empty_answer(204);
}

http::Answer Admin::use_quota(const http::Request& request, const Args&) {
    const auto body = body_of(request);
    if (!body.ok()) return refused(body.error());
    const auto used = int_at(*body, "used");
    if (!used || *used < 0) return refused(invalid("The body has no \"used\".", "for example {\"used\":99990}"));
    const auto lock = reach_.org.read_lock();
    reach_.quota.reset();
    reach_.quota.spend(reach_.org.now(), *used);
    return json_answer(200, "{\"used\":" + std::to_string(*used) + "}");
}

}  // namespace lockstep::sandbox
