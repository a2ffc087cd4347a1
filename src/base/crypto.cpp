#include "base/crypto.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <memory>
#include <system_error>
#include <utility>

#include "base/check.h"
#include "base/text.h"

namespace lockstep {

namespace {

constexpr std::size_t kNonceBytes = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES;
constexpr std::size_t kTagBytes = crypto_aead_xchacha20poly1305_ietf_ABYTES;
constexpr std::size_t kKeyDigits = 64;

void start_sodium() {
    static const bool started = sodium_init() >= 0;
    check(started, "libsodium did not start");
}

const unsigned char* raw(std::string_view bytes) {
    return reinterpret_cast<const unsigned char*>(bytes.data());
}
unsigned char* raw(std::string& bytes) {
    return reinterpret_cast<unsigned char*>(bytes.data());
}

class File {
public:
    explicit File(int handle) : handle_(handle) {}
    File(const File&) = delete;
    File& operator=(const File&) = delete;
    ~File() {
        if (handle_ >= 0) ::close(handle_);
    }
    int handle() const { return handle_; }
    bool is_open() const { return handle_ >= 0; }

private:
    int handle_;
};

Failure failure(const std::string& verb, const std::filesystem::path& file) {
    return {fmt::format("can not {} {}: {}", verb, file.string(), std::generic_category().message(errno)),
            "check the folder, its rights and the free space"};
}

Error denied(const std::filesystem::path& file, std::string_view why, std::string hint) {
    return {
        .kind = Kind::Denied, .what = fmt::format("the key file {} {}", file.string(), why), .hint = std::move(hint)};
}

/// Makes `file` appear at once and with its whole content, unless it exists by then: a crash must not leave an empty
/// key file, and of two processes that start together one must win. What was written must be on the disk before
/// anything is sealed with it.
void create_key_file(const std::filesystem::path& file) {
    std::array<char, kKeyDigits + 1> text{};  // room for the NUL of bin2hex, then a line feed in its place
    std::array<unsigned char, 32> key{};
    randombytes_buf(key.data(), key.size());
    sodium_bin2hex(text.data(), text.size(), key.data(), key.size());
    text.back() = '\n';
    sodium_memzero(key.data(), key.size());

    std::filesystem::path temporary = file;
    temporary += "." + to_hex(random_bytes(8));
    {
        const File out(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0400));
        if (!out.is_open()) throw failure("create", temporary);
        const bool written = ::write(out.handle(), text.data(), text.size()) == static_cast<ssize_t>(text.size()) &&
                             ::fsync(out.handle()) == 0;
        sodium_memzero(text.data(), text.size());
        const bool linked = written && (::link(temporary.c_str(), file.c_str()) == 0 || errno == EEXIST);
        const int problem = errno;
        ::unlink(temporary.c_str());
        errno = problem;
        if (!linked) throw failure("write", file);
    }
    const std::filesystem::path folder = file.has_parent_path() ? file.parent_path() : ".";
    const File handle(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!handle.is_open() || ::fsync(handle.handle()) != 0) throw failure("write", folder);
}

/// Forgets what OpenSSL queued for this thread: other users of the library, as libcurl, would take it for theirs.
struct ErrorQueue {
    ErrorQueue() = default;
    ErrorQueue(const ErrorQueue&) = delete;
    ErrorQueue& operator=(const ErrorQueue&) = delete;
    ~ErrorQueue() { ERR_clear_error(); }
};

using Bio = std::unique_ptr<BIO, decltype(&BIO_free)>;
using Key = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;
using Digest = std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)>;

/// Answers for a key under a pass phrase; without it OpenSSL would ask at the terminal.
int no_pass_phrase(char*, int, int, void*) {
    return -1;
}

Bio reading(std::string_view pem) {
    check(pem.size() <= INT_MAX, "a PEM text is small");
    return {BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())), &BIO_free};
}

template <class Write>
std::string written(Write write) {
    const Bio out(BIO_new(BIO_s_mem()), &BIO_free);
    check(out != nullptr && write(out.get()) == 1, "OpenSSL can print the key it made");
    char* data = nullptr;
    const long size = BIO_get_mem_data(out.get(), &data);
    return {data, static_cast<std::size_t>(size)};
}

}  // namespace

Result<MasterKey> MasterKey::open_or_create(const std::filesystem::path& file) {
    start_sodium();
    int handle = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
    if (handle < 0 && errno == ENOENT) {
        create_key_file(file);
        handle = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
    }
    const File in(handle);
    if (!in.is_open() && errno == EACCES) return denied(file, "may not be read by this user", "change its owner");
    if (!in.is_open()) throw failure("open", file);

    struct stat status {};
    if (::fstat(in.handle(), &status) != 0) throw failure("read", file);
    if (!S_ISREG(status.st_mode)) return denied(file, "is not a regular file", "name a file");
    if ((status.st_mode & 077) != 0) return denied(file, "may be read by others", "run: chmod 400 " + file.string());

    std::array<char, kKeyDigits + 2> text{};  // a line feed may follow, one byte more shows that it is too long
    const ssize_t size = ::read(in.handle(), text.data(), text.size());
    if (size < 0) throw failure("read", file);
    const bool right_size = size == kKeyDigits || (size == kKeyDigits + 1 && text[kKeyDigits] == '\n');
    MasterKey key;
    std::size_t bytes = 0;
    const bool read = right_size && sodium_hex2bin(key.key_.data(), key.key_.size(), text.data(), kKeyDigits, nullptr,
                                                   &bytes, nullptr) == 0;
    sodium_memzero(text.data(), text.size());
    if (!read || bytes != key.key_.size()) {
        return denied(file, "does not hold one key of 64 hex digits", "restore it from a backup");
    }
    return key;
}

MasterKey::MasterKey(MasterKey&& other) noexcept : key_(other.key_) {
    sodium_memzero(other.key_.data(), other.key_.size());
}

MasterKey::~MasterKey() {
    sodium_memzero(key_.data(), key_.size());
}

std::string MasterKey::seal(std::string_view secret, std::string_view place) const {
    std::string sealed(kNonceBytes + secret.size() + kTagBytes, '\0');
    unsigned char* const nonce = raw(sealed);
    randombytes_buf(nonce, kNonceBytes);
    crypto_aead_xchacha20poly1305_ietf_encrypt(nonce + kNonceBytes, nullptr, raw(secret), secret.size(), raw(place),
                                               place.size(), nullptr, nonce, key_.data());
    return sealed;
}

Result<std::string> MasterKey::open(std::string_view sealed, std::string_view place) const {
    const auto refused = [&] {
        return Error{.kind = Kind::Denied,
                     .what = fmt::format("the secret stored as {} can not be opened", place),
                     .hint = "it was changed or moved, or sealed with another key file: enter it again"};
    };
    if (sealed.size() < kNonceBytes + kTagBytes) return refused();
    std::string secret(sealed.size() - kNonceBytes - kTagBytes, '\0');
    if (crypto_aead_xchacha20poly1305_ietf_decrypt(raw(secret), nullptr, nullptr, raw(sealed) + kNonceBytes,
                                                   sealed.size() - kNonceBytes, raw(place), place.size(), raw(sealed),
                                                   key_.data()) != 0) {
        return refused();
    }
    return secret;
}

std::string sha256(std::string_view bytes) {
    std::string digest(32, '\0');
    check(EVP_Digest(bytes.data(), bytes.size(), raw(digest), nullptr, EVP_sha256(), nullptr) == 1, "SHA-256 exists");
    return digest;
}

std::string hmac_sha256(std::string_view key, std::string_view message) {
    check(key.size() <= INT_MAX, "an HMAC key is small");
    std::string digest(32, '\0');
    // A null key would mean "as before" to OpenSSL.
    const void* const key_data = key.empty() ? "" : key.data();
    check(HMAC(EVP_sha256(), key_data, static_cast<int>(key.size()), raw(message), message.size(), raw(digest),
               nullptr) != nullptr,
          "HMAC of SHA-256 exists");
    return digest;
}

std::string random_bytes(std::size_t count) {
    start_sodium();
    std::string bytes(count, '\0');
    randombytes_buf(bytes.data(), bytes.size());
    return bytes;
}

Result<std::string> sign_rs256(std::string_view pem_private_key, std::string_view message) {
    const ErrorQueue queue;
    const Bio in = reading(pem_private_key);
    const Key key(PEM_read_bio_PrivateKey(in.get(), nullptr, &no_pass_phrase, nullptr), &EVP_PKEY_free);
    if (key == nullptr || EVP_PKEY_base_id(key.get()) != EVP_PKEY_RSA) {
        return Error{.kind = Kind::Invalid,
                     .what = "the private key can not be read",
                     .hint = "give an RSA key in PEM form, without a pass phrase"};
    }
    const Digest digest(EVP_MD_CTX_new(), &EVP_MD_CTX_free);
    std::size_t size = static_cast<std::size_t>(EVP_PKEY_get_size(key.get()));
    std::string signature(size, '\0');
    if (EVP_DigestSignInit(digest.get(), nullptr, EVP_sha256(), nullptr, key.get()) != 1 ||
        EVP_DigestSign(digest.get(), raw(signature), &size, raw(message), message.size()) != 1) {
        return Error{.kind = Kind::Invalid,
                     .what = "the private key can not sign",
                     .hint = "give an RSA key of at least 2048 bits"};
    }
    signature.resize(size);
    return signature;
}

bool verify_rs256(std::string_view pem_public_key, std::string_view message, std::string_view signature) {
    const ErrorQueue queue;
    const Bio in = reading(pem_public_key);
    const Key key(PEM_read_bio_PUBKEY(in.get(), nullptr, &no_pass_phrase, nullptr), &EVP_PKEY_free);
    if (key == nullptr || EVP_PKEY_base_id(key.get()) != EVP_PKEY_RSA) return false;
    const Digest digest(EVP_MD_CTX_new(), &EVP_MD_CTX_free);
    return EVP_DigestVerifyInit(digest.get(), nullptr, EVP_sha256(), nullptr, key.get()) == 1 &&
           EVP_DigestVerify(digest.get(), raw(signature), signature.size(), raw(message), message.size()) == 1;
}

RsaKeyPair make_rsa_key_pair() {
    const ErrorQueue queue;
    const Key key(EVP_RSA_gen(2048), &EVP_PKEY_free);
    check(key != nullptr, "OpenSSL can make RSA keys");
    return {.private_pem = written([&](BIO* out) {
                return PEM_write_bio_PrivateKey(out, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
            }),
            .public_pem = written([&](BIO* out) { return PEM_write_bio_PUBKEY(out, key.get()); })};
}

}  // namespace lockstep
