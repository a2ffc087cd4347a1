#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "record/value.h"

namespace lockstep::record {

/// A Salesforce field as a describe tells it.
struct Field {
    std::string name;   ///< API name in Salesforce's own case: "StageName", "Region__c"
    std::string label;  ///< what users see: "Stage"
    std::string type;   ///< Salesforce's word: "picklist", "currency", "reference", …
    Form form = Form::Text;
    int length = 0;  ///< characters; 0: not text
    int precision = 0, scale = 0;
    bool nillable = true;
    bool calculated = false;  ///< formula or roll-up
    bool auto_number = false;
    bool createable = false, updateable = false;
    bool filterable = true;
    bool custom = false, unique = false, external_id = false;
    std::string relationship;  ///< "Account" for AccountId; empty: none
    std::vector<std::string> reference_to;
    std::string formula;

    bool operator==(const Field&) const = default;
};

/// A Salesforce object as the connected user may see it. Fields that can not be read as a value (compound addresses
/// and locations, blobs) are left out; their parts are fields of their own.
struct Object {
    std::string name, label, key_prefix;
    bool custom = false;
    bool queryable = true, retrieveable = true;
    bool replicateable = true;  ///< has /updated and /deleted
    bool undeletable = true;    ///< false: deleted rows may never show in queryAll (salesforce-api 18)
    std::vector<Field> fields;  ///< in Salesforce's order

    const Field* find(std::string_view field) const;  ///< without regard to case
    bool has(std::string_view field) const { return find(field) != nullptr; }
    bool operator==(const Object&) const = default;
};

/// The form of a Salesforce type; nothing for types that carry no plain value ("address", "location", "base64",
/// "anyType", "complexvalue", "json"). `scale` 0 of a double, currency or percent still is Real: Salesforce stores more
/// decimals than it shows.
std::optional<Form> form_of(std::string_view salesforce_type);

/// Fields Salesforce keeps itself and changes with every save: CreatedDate, CreatedById, LastModifiedDate,
/// LastModifiedById, SystemModstamp, LastActivityDate, LastViewedDate, LastReferencedDate, IsDeleted, and their like.
bool is_system_field(std::string_view field);

}  // namespace lockstep::record
