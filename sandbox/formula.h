#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "sandbox/schema.h"
#include "sandbox/values.h"

/// Formula fields: from the formula as an admin writes it to the value of one row. What of Salesforce's language is
/// there is told in docs/sandbox.md; what its parts mean is read off the formula engine that Salesforce published
/// (github.com/salesforce/formula-engine) and its help.
namespace lockstep::sandbox::formula {

/// What a formula may grow to when the formulas it uses are written out in it, in characters. Bounds what one value
/// costs.
constexpr int compiled_characters_max = 15'000;

struct Spot {
    int object = -1;
    std::int64_t row = -1;
};

class Program;

/// What a formula sees of the org: everything. Formulas ignore the field-level security of whoever reads them.
class Rows {
public:
    virtual ~Rows() = default;
    /// Any field but a formula field.
    virtual Cell read(Spot spot, int field) const = 0;
    /// The compiled formula of a formula field; null when it does not compile.
    virtual const Program* program(int object, int field) const = 0;
    /// The live row with this id of 18 characters.
    virtual std::optional<Spot> find(std::string_view id) const = 0;
    virtual std::int64_t now() const = 0;  ///< epoch seconds
    virtual Spot user() const = 0;         ///< $User: whoever reads
    virtual Spot organization() const = 0;
};

/// The value of the formula for one row, in the form the field's type has. A formula that fails (division by zero, text
/// that is no number, a number of more digits than the field has) is null, or false in a checkbox, as the API tells
/// Salesforce's #Error!. Cost: bounded by compiled_characters_max, texts by 32,768
/// bytes each and 10 MB in all. Threads: any number.
Cell evaluate(const Program& program, const Rows& rows, Spot spot);

/// Whether the value may be HTML: of HYPERLINK, IMAGE or BR.
bool is_html(const Program& program);

/// All formulas of a schema, compiled: their names are indexes of its objects and fields.
///
/// Cost: some 10 µs a formula. To be made anew when the schema changes, or extended when something was only added to
/// it.
class Formulas {
public:
    Formulas();
    explicit Formulas(const Schema& schema);
    ~Formulas();
    Formulas(Formulas&&) noexcept;
    Formulas& operator=(Formulas&&) noexcept;
    /// Compiles what is not compiled yet, and tries again what could not be. Programs keep their place.
    void extend(const Schema& schema);

    /// Null for a field without a formula, or with one that does not compile.
    const Program* find(int object, int field) const;
    /// Why the formula of the field does not compile: Invalid, in Salesforce's words ("Field X does not exist. Check
    /// spelling."). Nothing for all other fields.
    std::optional<Error> error(int object, int field) const;
    /// (object, field) of those that do not compile.
    std::vector<std::pair<int, int>> broken() const;

private:
    struct Entry;
    std::map<std::pair<int, int>, std::unique_ptr<Entry>> entries_;  ///< (object, field)
    friend class Compiler;
};

}  // namespace lockstep::sandbox::formula
