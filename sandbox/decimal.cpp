#include "sandbox/decimal.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <utility>

// The one file that includes the multiprecision library.
#include <boost/multiprecision/cpp_dec_float.hpp>
#include <boost/multiprecision/cpp_int.hpp>

#include "base/text.h"

namespace lockstep::sandbox {

namespace {

using Digits = __int128;
using Wide = boost::multiprecision::int512_t;
using Float = boost::multiprecision::cpp_dec_float_50;

constexpr int kDigitsMax = 38;
constexpr int kMagnitudeMax = 64;
constexpr int kFunctionDigits = 33;

constexpr std::array<Digits, kDigitsMax + 1> make_powers() {
    std::array<Digits, kDigitsMax + 1> powers{};
    Digits power = 1;
    for (Digits& at : powers) {
        at = power;
        power *= at == powers[kDigitsMax] ? 1 : 10;
    }
    return powers;
}
constexpr std::array<Digits, kDigitsMax + 1> kPowers = make_powers();
Digits power_of_ten(int n) {
    return kPowers[static_cast<std::size_t>(n)];
}

Wide wide_power_of_ten(int n) {
    // 512 bits hold 154 digits; sums of 38 digits shifted by 80 need 119.
    static const std::array<Wide, 154> powers = [] {
        std::array<Wide, 154> made;
        Wide power = 1;
        for (Wide& at : made) {
            at = power;
            power *= 10;
        }
        return made;
    }();
    return powers[static_cast<std::size_t>(n)];
}

Digits magnitude(Digits digits) {
    return digits < 0 ? -digits : digits;
}

int digit_count(Digits digits) {
    const Digits size = magnitude(digits);
    return static_cast<int>(std::upper_bound(kPowers.begin(), kPowers.end(), size) - kPowers.begin());
}

int digit_count(const Wide& positive) {
    if (positive == 0) return 0;
    const auto bits = static_cast<int>(boost::multiprecision::msb(positive)) + 1;
    const int estimate = bits * 1233 >> 12;  // log10(2) in 4096ths
    return positive >= wide_power_of_ten(estimate) ? estimate + 1 : estimate;
}

std::string text_of(Digits positive) {
    if (positive == 0) return "0";
    std::string text;
    for (; positive > 0; positive /= 10) text += static_cast<char>('0' + static_cast<int>(positive % 10));
    std::reverse(text.begin(), text.end());
    return text;
}

/// Whether the digits cut off (`rest` of `unit`) make the magnitude one more.
template <class Number>
bool rounds_up(const Number& rest, const Number& unit, bool negative, Decimal::Rounding how) {
    if (rest == 0) return false;
    switch (how) {
        case Decimal::Rounding::HalfUp:
            return rest >= unit - rest;
        case Decimal::Rounding::HalfDown:
            return rest > unit - rest;
        case Decimal::Rounding::Up:
            return true;
        case Decimal::Rounding::Down:
            return false;
        case Decimal::Rounding::Ceiling:
            return !negative;
        case Decimal::Rounding::Floor:
            return negative;
    }
    return false;
}

}  // namespace

/// The way between Decimal and the wider numbers of the library.
struct DecimalParts {
    static Decimal fit(Wide value, int exponent) {
        const bool negative = value < 0;
        if (negative) value = -value;
        const int surplus = digit_count(value) - kDigitsMax;
        if (surplus > 0) {
            Wide quotient;
            Wide rest;
            const Wide unit = wide_power_of_ten(surplus);
            boost::multiprecision::divide_qr(value, unit, quotient, rest);
            if (rounds_up(rest, unit, negative, Decimal::Rounding::HalfUp)) ++quotient;
            value = quotient;
            exponent += surplus;
        }
        auto digits = static_cast<Digits>(value);
        if (digits == power_of_ten(kDigitsMax)) {
            digits /= 10;
            ++exponent;
        }
        return Decimal::made(negative ? -digits : digits, exponent);
    }

    static Float float_of(const Decimal& value) {
        const std::string text =
            (value.digits_ < 0 ? "-" : "") + text_of(magnitude(value.digits_)) + "e" + std::to_string(value.exponent_);
        return Float(text);
    }
    static Decimal of_float(const Float& value) {
        if (!boost::multiprecision::isfinite(value)) return Decimal::too_big();
        const auto read = Decimal::parse(value.str(kDigitsMax, std::ios_base::scientific));
        if (!read) return Decimal::too_big();
        return read->with_digits(kFunctionDigits, Decimal::Rounding::HalfUp);
    }
};

Decimal Decimal::made(Digits digits, int exponent) {
    Decimal made;
    if (digits == 0) return made;
    const int size = digit_count(digits) + exponent;
    if (size > kMagnitudeMax) return too_big();
    if (size < -kMagnitudeMax) return made;
    made.digits_ = digits;
    made.exponent_ = exponent;
    return made;
}

Decimal Decimal::too_big() {
    Decimal made;
    made.exponent_ = kTooBig;
    return made;
}

Decimal Decimal::of(double value) {
    constexpr double exact_max = 9007199254740992.0;
    if (!std::isfinite(value)) return too_big();
    if (value == std::floor(value) && std::abs(value) < exact_max) return {static_cast<std::int64_t>(value)};
    std::array<char, 40> text{};
    const auto end = std::to_chars(text.data(), text.data() + text.size(), value, std::chars_format::scientific);
    const auto read = parse(std::string_view(text.data(), static_cast<std::size_t>(end.ptr - text.data())));
    return read.value_or(too_big());
}

std::optional<Decimal> Decimal::parse(std::string_view text) {
    constexpr int exponent_max = 1000;
    const bool negative = text.starts_with('-');
    if (negative || text.starts_with('+')) text.remove_prefix(1);
    Digits digits = 0;
    int exponent = 0;
    int seen = 0;
    bool after_point = false;
    bool rounded = false;
    std::size_t at = 0;
    for (; at < text.size(); ++at) {
        const char c = text[at];
        if (c == '.' && !after_point) {
            after_point = true;
            continue;
        }
        if (c < '0' || c > '9') break;
        ++seen;
        const bool full = digits >= power_of_ten(kDigitsMax - 1);
        if (!full) {
            digits = digits * 10 + (c - '0');
        } else if (!rounded) {
            rounded = true;
            if (c >= '5') ++digits;
        }
        if (full && !after_point) ++exponent;
        if (!full && after_point) --exponent;
    }
    if (seen == 0) return std::nullopt;
    if (at < text.size()) {
        if (text[at] != 'e' && text[at] != 'E') return std::nullopt;
        std::string_view rest = text.substr(at + 1);
        if (rest.starts_with('+')) rest.remove_prefix(1);
        const std::optional<std::int64_t> given = parse_int(rest);
        if (!given) return std::nullopt;
        exponent += static_cast<int>(std::clamp<std::int64_t>(*given, -exponent_max, exponent_max));
    }
    if (digits == power_of_ten(kDigitsMax)) {
        digits /= 10;
        ++exponent;
    }
    return made(negative ? -digits : digits, exponent);
}

Decimal Decimal::stripped() const {
    Decimal out = *this;
    for (const int step : {32, 16, 8, 4, 2, 1}) {
        if (out.digits_ != 0 && out.digits_ % power_of_ten(step) == 0) {
            out.digits_ /= power_of_ten(step);
            out.exponent_ += step;
        }
    }
    return out;
}

double Decimal::to_double() const {
    constexpr Digits exact_max = Digits{1} << 53;
    constexpr std::array<double, 23> powers = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                               1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    const Decimal value = stripped();
    const auto power = static_cast<std::size_t>(std::abs(value.exponent_));
    if (magnitude(value.digits_) <= exact_max && power < powers.size()) {
        const auto whole = static_cast<double>(value.digits_);
        return value.exponent_ < 0 ? whole / powers[power] : whole * powers[power];
    }
    const std::string text = (digits_ < 0 ? "-" : "") + text_of(magnitude(digits_)) + "e" + std::to_string(exponent_);
    return parse_double(text).value_or(0);
}

std::string Decimal::to_string() const {
    const Decimal value = stripped();
    std::string text = text_of(magnitude(value.digits_));
    if (value.exponent_ > 0) text.append(static_cast<std::size_t>(value.exponent_), '0');
    if (value.exponent_ < 0) {
        const auto places = static_cast<std::size_t>(-value.exponent_);
        if (text.size() <= places) text.insert(0, places + 1 - text.size(), '0');
        text.insert(text.size() - places, 1, '.');
    }
    return value.digits_ < 0 ? "-" + text : text;
}

std::int64_t Decimal::to_whole() const {
    constexpr std::int64_t limit = INT64_MAX;
    Digits whole = digits_;
    if (exponent_ < 0) whole = -exponent_ > kDigitsMax ? 0 : digits_ / power_of_ten(-exponent_);
    if (exponent_ > 0) {
        const bool fits = digit_count(digits_) + exponent_ <= kDigitsMax;
        whole = fits ? digits_ * power_of_ten(exponent_) : Digits{sign()} * limit;
    }
    return static_cast<std::int64_t>(std::clamp(whole, -Digits{limit}, Digits{limit}));
}

Decimal Decimal::rounded(int places, Rounding how) const {
    if (is_too_big() || digits_ == 0 || -std::int64_t{exponent_} <= places) return *this;
    const std::int64_t drop = -std::int64_t{exponent_} - places;
    const bool negative = digits_ < 0;
    Digits kept = 0;
    if (drop > kDigitsMax) {
        // Whatever is cut off is less than half a unit.
        kept = rounds_up(Digits{1}, Digits{3}, negative, how) ? 1 : 0;
    } else {
        const Digits unit = power_of_ten(static_cast<int>(drop));
        const Digits size = magnitude(digits_);
        kept = size / unit;
        if (rounds_up(size % unit, unit, negative, how)) ++kept;
    }
    const std::int64_t exponent = -std::int64_t{places};
    if (kept != 0 && exponent > kMagnitudeMax) return too_big();
    return made(negative ? -kept : kept, static_cast<int>(exponent));
}

Decimal Decimal::with_digits(int digits, Rounding how) const {
    const int surplus = digit_count(digits_) - digits;
    return surplus <= 0 ? *this : rounded(-(exponent_ + surplus), how);
}

Decimal Decimal::operator-() const {
    Decimal out = *this;
    out.digits_ = -out.digits_;
    return out;
}

Decimal operator+(const Decimal& a, const Decimal& b) {
    if (a.is_too_big() || b.is_too_big()) return Decimal::too_big();
    if (a.digits_ == 0) return b;
    if (b.digits_ == 0) return a;
    const Decimal& high = a.exponent_ >= b.exponent_ ? a : b;
    const Decimal& low = a.exponent_ >= b.exponent_ ? b : a;
    const int shift = high.exponent_ - low.exponent_;
    constexpr int quick_digits = 18;
    if (shift <= quick_digits && magnitude(high.digits_) < power_of_ten(quick_digits) &&
        magnitude(low.digits_) < power_of_ten(2 * quick_digits)) {
        return Decimal::made(high.digits_ * power_of_ten(shift) + low.digits_, low.exponent_);
    }
    // Beyond so many places the lower one can not move a digit that is kept.
    constexpr int shift_max = 80;
    if (shift > shift_max) return high;
    return DecimalParts::fit(Wide(high.digits_) * wide_power_of_ten(shift) + Wide(low.digits_), low.exponent_);
}

Decimal operator*(const Decimal& a, const Decimal& b) {
    if (a.is_too_big() || b.is_too_big()) return Decimal::too_big();
    constexpr int quick_digits = 18;
    const int exponent = a.exponent_ + b.exponent_;
    if (magnitude(a.digits_) < power_of_ten(quick_digits) && magnitude(b.digits_) < power_of_ten(quick_digits)) {
        return Decimal::made(a.digits_ * b.digits_, exponent);
    }
    return DecimalParts::fit(Wide(a.digits_) * Wide(b.digits_), exponent);
}

Decimal operator/(const Decimal& a, const Decimal& b) {
    if (a.is_too_big() || b.is_too_big()) return Decimal::too_big();
    // One digit more than is kept, so that the last one is rounded right.
    const int shift = std::max(0, kDigitsMax + 1 + digit_count(b.digits_) - digit_count(a.digits_));
    const Wide quotient = Wide(a.digits_) * wide_power_of_ten(shift) / Wide(b.digits_);
    return DecimalParts::fit(quotient, a.exponent_ - b.exponent_ - shift).stripped();
}

Decimal remainder(const Decimal& a, const Decimal& b) {
    if (a.is_too_big() || b.is_too_big()) return Decimal::too_big();
    const int shift = a.exponent_ - b.exponent_;
    constexpr int shift_max = 110;
    if (std::abs(shift) > shift_max) return shift < 0 ? a : Decimal();
    const Wide scaled_a = Wide(a.digits_) * wide_power_of_ten(std::max(shift, 0));
    const Wide scaled_b = Wide(b.digits_) * wide_power_of_ten(std::max(-shift, 0));
    return DecimalParts::fit(scaled_a % scaled_b, std::min(a.exponent_, b.exponent_));
}

int compare(const Decimal& a, const Decimal& b) {
    if (a.exponent_ == b.exponent_) return a.digits_ < b.digits_ ? -1 : a.digits_ > b.digits_ ? 1 : 0;
    return (a - b).sign();
}

std::optional<Decimal> Decimal::square_root() const {
    if (digits_ < 0) return std::nullopt;
    return DecimalParts::of_float(boost::multiprecision::sqrt(DecimalParts::float_of(*this)));
}

std::optional<Decimal> Decimal::natural_log() const {
    if (digits_ <= 0) return std::nullopt;
    return DecimalParts::of_float(boost::multiprecision::log(DecimalParts::float_of(*this)));
}

std::optional<Decimal> Decimal::common_log() const {
    if (digits_ <= 0) return std::nullopt;
    return DecimalParts::of_float(boost::multiprecision::log10(DecimalParts::float_of(*this)));
}

Decimal Decimal::exponential() const {
    constexpr std::int64_t power_max = 150;  // e^148 is more than 1e64
    if (is_too_big() || compare(*this, power_max) > 0) return too_big();
    if (compare(*this, -power_max) < 0) return {};
    return DecimalParts::of_float(boost::multiprecision::exp(DecimalParts::float_of(*this)));
}

std::optional<Decimal> Decimal::to_power(const Decimal& exponent) const {
    if (is_too_big() || exponent.is_too_big()) return too_big();
    if (exponent.digits_ == 0) return Decimal(1);
    if (digits_ == 0) return exponent.sign() < 0 ? std::nullopt : std::optional(Decimal());
    const bool whole = exponent == exponent.rounded(0, Rounding::Down);
    constexpr std::int64_t squarings_max = 1'000'000;
    if (whole && compare(exponent, squarings_max) <= 0 && compare(exponent, -squarings_max) >= 0) {
        auto left = static_cast<std::uint64_t>(std::abs(exponent.to_whole()));
        Decimal result(1);
        for (Decimal square = *this; left > 0; left >>= 1) {
            if ((left & 1) != 0) result = result * square;
            if (left > 1) square = square * square;
        }
        if (exponent.sign() > 0) return result;
        if (result.is_too_big()) return Decimal();
        return result.digits_ == 0 ? too_big() : Decimal(1) / result;
    }
    if (digits_ < 0) return std::nullopt;
    return (*natural_log() * exponent).exponential();
}

}  // namespace lockstep::sandbox
