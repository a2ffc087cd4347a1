#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <variant>

namespace lockstep {

/// What a caller can do about an error; the text is for people, the kind is for code.
enum class Kind {
    Invalid,      ///< The input is wrong; asking again will not help.
    NotFound,     ///< The thing named does not exist, or we may not see it.
    Denied,       ///< Credentials are wrong, expired beyond renewal, or lack a right: ask a person.
    Throttled,    ///< Too many calls, or the daily quota is spent: wait `retry_after_s`.
    Unavailable,  ///< The other side can not be reached, or answered 5xx: try again later.
    BadReply,     ///< The answer was cut, of the wrong type, or contradicts itself: nothing of it was used.
    Rejected,     ///< The other side understood and refused; `code` is its own word for it.
    Conflict,     ///< Somebody else holds or changed it.
    Cancelled,    ///< We were asked to stop.
};

/// The word for `kind` in logs and JSON: "invalid", "not_found", …
const char* name(Kind kind);

/// An error the immediate caller can act on. `what` is one sentence in the reader's terms; `hint` says what a person
/// can do; `code` is the other side's own error code where there is one ("INVALID_FIELD").
struct Error {
    Kind kind = Kind::Invalid;
    std::string what;
    std::string hint;
    std::string code;
    std::int64_t retry_after_s = 0;
};

/// "what (hint)" on one line; line breaks inside become blanks.
std::string to_string(const Error& error);

/// A value, or the error that explains its absence. Reading the wrong side is a bug and throws std::bad_variant_access.
template <class T>
class [[nodiscard]] Result {
public:
    using value_type = T;
    Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
    Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}
    bool ok() const { return state_.index() == 0; }
    explicit operator bool() const { return ok(); }
    T& value() & { return std::get<0>(state_); }
    const T& value() const& { return std::get<0>(state_); }
    T&& value() && { return std::get<0>(std::move(state_)); }
    T& operator*() { return value(); }
    const T& operator*() const { return value(); }
    T* operator->() { return &value(); }
    const T* operator->() const { return &value(); }
    const Error& error() const { return std::get<1>(state_); }

private:
    std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
public:
    Result() = default;
    Result(Error error) : error_(std::move(error)), ok_(false) {}
    bool ok() const { return ok_; }
    explicit operator bool() const { return ok_; }
    void value() const {}
    const Error& error() const { return error_; }

private:
    Error error_;
    bool ok_ = true;
};

/// Takes the value out of a Result, or returns its error from the function around it. Stands alone on its line: inside
/// a brace initialiser the members built before it would leak (a fault of g++ 12).
#define TRY(expression)                                           \
    ({                                                            \
        auto&& try_result_ = (expression);                        \
        if (!try_result_.ok()) return try_result_.error();        \
        std::forward<decltype(try_result_)>(try_result_).value(); \
    })

}  // namespace lockstep
