#pragma once

#include <string>

#include "record/value.h"

namespace lockstep::sync {

/// Which way a field's changes travel.
enum class Way { Both, In, Out, None };  // <->  ->  <-  --
/// Whose value stays when both sides changed the same field (domain 5: leads ours, contacts theirs).
enum class Winner { Ours, Theirs };
/// What an empty value from Salesforce does to ours.
enum class Blank { Clear, Keep };

const char* name(Way way);
const char* name(Winner winner);
const char* name(Blank blank);

/// How one field of a pair is decided.
struct FieldRule {
    std::string salesforce;  ///< "Email"
    Way way = Way::In;
    std::string ours;  ///< "email"
    Blank blank = Blank::Clear;
    Winner winner = Winner::Theirs;
    std::string origin;  ///< "rules/lead.toml:9", or "default" for a field no file names
};

enum class Verdict {
    InStep,    ///< Nothing to do: both sides hold the same value.
    Pull,      ///< Theirs becomes ours.
    Push,      ///< Ours is to become theirs; until it is confirmed the base stays.
    Hold,      ///< Theirs is not taken over and stays remembered as held; ours stays.
    KeepOurs,  ///< We differ from Salesforce and may not write there; ours stays until Salesforce changes the field.
};
const char* name(Verdict verdict);

struct Decision {
    Verdict verdict = Verdict::InStep;
    /// Both sides changed the field to different values: the one that lost goes to the log.
    bool conflict = false;
    const char* reason = "";  ///< half a sentence: "only Salesforce changed"
};

/// Decides one field of a pair from three values: `theirs` (just heard), `base` (what Salesforce last said or
/// confirmed), `ours`. Pure; the table of all cases in tests/golden/decide.txt is the specification of the sync.
Decision decide(const FieldRule& rule, const record::Cell& base, const record::Cell& theirs, const record::Cell& ours);

}  // namespace lockstep::sync
