#include "sync/decide.h"

namespace lockstep::sync {

const char* name(Way way) {
    switch (way) {
        case Way::Both:
            return "<->";
        case Way::In:
            return "->";
        case Way::Out:
            return "<-";
        case Way::None:
            return "--";
    }
    return "--";
}

const char* name(Winner winner) {
    return winner == Winner::Ours ? "ours" : "theirs";
}

const char* name(Blank blank) {
    return blank == Blank::Clear ? "clear" : "keep";
}

const char* name(Verdict verdict) {
    switch (verdict) {
        case Verdict::InStep:
            return "in step";
        case Verdict::Pull:
            return "pull";
        case Verdict::Push:
            return "push";
        case Verdict::Hold:
            return "hold";
        case Verdict::KeepOurs:
            return "keep ours";
    }
    return "in step";
}

Decision decide(const FieldRule& rule, const record::Cell& base, const record::Cell& theirs, const record::Cell& ours) {
    const bool may_pull = rule.way == Way::Both || rule.way == Way::In;
    const bool may_push = rule.way == Way::Both || rule.way == Way::Out;
    const bool theirs_changed = !(theirs == base);
    const bool ours_changed = !(ours == base);
    const bool blank_is_kept = theirs.is_null() && rule.blank == Blank::Keep;

    if (theirs == ours) {
        return {Verdict::InStep, false, theirs_changed ? "both sides changed to the same value" : "nothing changed"};
    }
    if (theirs_changed && !ours_changed) {
        if (!may_pull) return {Verdict::Hold, false, "only Salesforce changed, and the rule pulls nothing"};
        if (blank_is_kept) return {Verdict::Hold, false, "Salesforce sends a blank, and the rule keeps ours"};
        return {Verdict::Pull, false, "only Salesforce changed"};
    }
    if (ours_changed && !theirs_changed) {
        if (may_push) return {Verdict::Push, false, "only we changed"};
        return {Verdict::KeepOurs, false, "only we changed, and the rule pushes nothing"};
    }
    // Both changed, to different values.
    if (may_pull && may_push) {
        if (blank_is_kept)
            return {Verdict::Push, true, "both changed; Salesforce sends a blank, and the rule keeps ours"};
        if (rule.winner == Winner::Ours) return {Verdict::Push, true, "both changed; ours wins by rule"};
        return {Verdict::Pull, true, "both changed; Salesforce wins by rule"};
    }
    if (may_pull) {
        if (blank_is_kept)
            return {Verdict::Hold, true, "both changed; Salesforce sends a blank, and the rule keeps ours"};
        return {Verdict::Pull, true, "both changed; the field only comes from Salesforce"};
    }
    if (may_push) return {Verdict::Push, true, "both changed; the field only goes to Salesforce"};
    return {Verdict::Hold, true, "both changed, and the rule moves nothing"};
}

}  // namespace lockstep::sync
