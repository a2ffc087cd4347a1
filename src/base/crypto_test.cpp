#include "base/crypto.h"

#include <grp.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <thread>
#include <vector>

#include "base/check.h"
#include "base/text.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

class MasterKeyFile : public testing::Test {
protected:
    MasterKeyFile() {
        std::string pattern = (fs::temp_directory_path() / "lockstep-key-XXXXXX").string();
        check(::mkdtemp(pattern.data()) != nullptr, "a temporary folder");
        folder_ = pattern;
        file_ = folder_ / "key";
    }
    ~MasterKeyFile() override { fs::remove_all(folder_); }

    void write(const std::string& text, fs::perms mode = fs::perms::owner_read) {
        std::ofstream(file_) << text;
        fs::permissions(file_, mode);
    }
    /// The error of opening the file, or "fine".
    std::string what_of_open() {
        const Result<MasterKey> key = MasterKey::open_or_create(file_);
        if (key.ok()) return "fine";
        EXPECT_EQ(key.error().kind, Kind::Denied);
        EXPECT_FALSE(key.error().hint.empty());
        return key.error().what.substr(key.error().what.find(file_.string()) + file_.string().size());
    }

    /// The same in a process of its own that is not root, for root may read everything.
    std::string what_of_open_without_rights() {
        constexpr uid_t kNobody = 65534;
        fs::permissions(folder_, fs::perms::others_exec, fs::perm_options::add);
        std::array<int, 2> pipe{};
        check(::pipe(pipe.data()) == 0, "a pipe");
        const pid_t child = ::fork();
        check(child >= 0, "a second process");
        if (child == 0) {
            const bool dropped =
                ::geteuid() != 0 || (::setgroups(0, nullptr) == 0 && ::setgid(kNobody) == 0 && ::setuid(kNobody) == 0);
            const std::string what = dropped ? what_of_open() : "root's rights can not be given up";
            const bool told = ::write(pipe[1], what.data(), what.size()) == static_cast<ssize_t>(what.size());
            ::_exit(told ? 0 : 1);
        }
        ::close(pipe[1]);
        std::string what(200, '\0');
        const ssize_t size = ::read(pipe[0], what.data(), what.size());
        ::close(pipe[0]);
        int status = -1;
        check(::waitpid(child, &status, 0) == child && status == 0, "the second process ended well");
        what.resize(static_cast<std::size_t>(std::max<ssize_t>(size, 0)));
        return what;
    }

    fs::path folder_;
    fs::path file_;
};

TEST_F(MasterKeyFile, is_made_once_for_its_owner_only) {
    const MasterKey key = MasterKey::open_or_create(file_).value();
    EXPECT_EQ(fs::status(file_).permissions(), fs::perms::owner_read);
    EXPECT_EQ(fs::file_size(file_), 65u);
    EXPECT_EQ(std::distance(fs::directory_iterator(folder_), {}), 1);

    const MasterKey again = MasterKey::open_or_create(file_).value();
    EXPECT_EQ(again.open(key.seal("secret", "a"), "a").value(), "secret");
}

TEST_F(MasterKeyFile, two_that_start_together_get_the_same_key) {
    std::vector<std::string> sealed(8);
    std::vector<std::thread> threads;
    threads.reserve(sealed.size());
    for (std::string& mine : sealed) {
        threads.emplace_back([&] { mine = MasterKey::open_or_create(file_).value().seal("x", "p"); });
    }
    for (std::thread& thread : threads) thread.join();
    const MasterKey key = MasterKey::open_or_create(file_).value();
    for (const std::string& each : sealed) EXPECT_TRUE(key.open(each, "p").ok());
}

TEST_F(MasterKeyFile, is_refused_when_others_may_read_it) {
    for (const fs::perms extra : {fs::perms::group_read, fs::perms::others_read, fs::perms::group_write}) {
        write(std::string(64, 'a'));
        fs::permissions(file_, fs::perms::owner_read | extra);
        EXPECT_EQ(what_of_open(), " may be read by others");
        fs::remove(file_);
    }
}

TEST_F(MasterKeyFile, is_refused_unless_it_is_exactly_one_key) {
    const std::string key(64, 'a');
    for (const std::string& text : {std::string(), key.substr(1), key + "a", key + " ", key + "\n\n",
                                    "g" + key.substr(1), key.substr(1) + "\n"}) {
        write(text);
        EXPECT_EQ(what_of_open(), " does not hold one key of 64 hex digits") << text;
        fs::remove(file_);
    }
    for (const std::string& text : {key, key + "\n", std::string(64, 'F')}) {
        write(text);
        EXPECT_EQ(what_of_open(), "fine") << text;
        fs::remove(file_);
    }
}

TEST_F(MasterKeyFile, is_refused_when_it_is_a_folder) {
    fs::create_directory(file_);
    EXPECT_EQ(what_of_open(), " is not a regular file");
}

TEST_F(MasterKeyFile, is_refused_when_this_user_may_not_read_it) {
    write(std::string(64, 'a'), fs::perms::none);
    EXPECT_EQ(what_of_open_without_rights(), " may not be read by this user");
}

TEST_F(MasterKeyFile, a_missing_folder_is_a_failure) {
    EXPECT_THROW((void)MasterKey::open_or_create(folder_ / "none" / "key"), Failure);
}

TEST_F(MasterKeyFile, opens_only_what_it_sealed_where_it_was_sealed) {
    const MasterKey key = MasterKey::open_or_create(file_).value();
    const MasterKey other = MasterKey::open_or_create(folder_ / "other").value();
    const std::string sealed = key.seal("secret", "secret/token/1");
    EXPECT_EQ(sealed.find("secret"), std::string::npos);
    EXPECT_EQ(key.open(sealed, "secret/token/2").error().kind, Kind::Denied);
    EXPECT_EQ(other.open(sealed, "secret/token/1").error().kind, Kind::Denied);
    EXPECT_EQ(key.open("", "secret/token/1").error().kind, Kind::Denied);
    for (std::size_t at = 0; at < sealed.size(); ++at) {
        std::string changed = sealed;
        changed[at] = static_cast<char>(changed[at] ^ 1);
        EXPECT_FALSE(key.open(changed, "secret/token/1").ok()) << at;
        EXPECT_FALSE(key.open(sealed.substr(0, at), "secret/token/1").ok()) << at;
    }
    EXPECT_NE(key.seal("secret", "secret/token/1"), sealed);  // a fresh nonce each time
}

TEST_F(MasterKeyFile, a_moved_key_opens_what_it_sealed_before) {
    MasterKey key = MasterKey::open_or_create(file_).value();
    const std::string sealed = key.seal("", "");
    const MasterKey moved = std::move(key);
    EXPECT_EQ(moved.open(sealed, "").value(), "");
}

TEST_F(MasterKeyFile, sealing_then_opening_is_identity) {
    const MasterKey key = MasterKey::open_or_create(file_).value();
    EXPECT_TRUE(rc::check([&](const std::string& secret, const std::string& place) {
        RC_ASSERT(key.open(key.seal(secret, place), place).value() == secret);
    }));
}

TEST(Hash, sha256_has_the_test_vectors_of_fips_180) {
    EXPECT_EQ(to_hex(sha256("")), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    EXPECT_EQ(to_hex(sha256("abc")), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(Hash, hmac_has_the_test_vectors_of_rfc_4231) {
    EXPECT_EQ(to_hex(hmac_sha256(std::string(20, '\x0b'), "Hi There")),
              "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    EXPECT_EQ(to_hex(hmac_sha256("Jefe", "what do ya want for nothing?")),
              "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    EXPECT_EQ(to_hex(hmac_sha256(std::string(131, '\xaa'), "Test Using Larger Than Block-Size Key - Hash Key First")),
              "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    EXPECT_EQ(to_hex(hmac_sha256("", "")), "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

TEST(RandomBytes, are_as_many_as_asked_for_and_never_the_same) {
    EXPECT_EQ(random_bytes(0), "");
    EXPECT_EQ(random_bytes(33).size(), 33u);
    EXPECT_NE(random_bytes(16), random_bytes(16));
}

TEST(Rs256, verifies_what_was_signed_and_nothing_else) {
    const RsaKeyPair pair = make_rsa_key_pair();
    const std::string signature = sign_rs256(pair.private_pem, "header.claims").value();
    EXPECT_EQ(signature.size(), 256u);
    EXPECT_EQ(sign_rs256(pair.private_pem, "header.claims").value(), signature);  // PKCS #1 v1.5 has no random part
    EXPECT_TRUE(verify_rs256(pair.public_pem, "header.claims", signature));
    EXPECT_FALSE(verify_rs256(pair.public_pem, "header.claim", signature));
    EXPECT_FALSE(verify_rs256(pair.public_pem, "header.claims", signature.substr(1)));
    EXPECT_FALSE(verify_rs256(pair.public_pem, "header.claims", ""));
    EXPECT_FALSE(verify_rs256(make_rsa_key_pair().public_pem, "header.claims", signature));
    EXPECT_FALSE(verify_rs256("no key", "header.claims", signature));
}

TEST(Rs256, a_right_signature_of_another_kind_of_key_does_not_verify) {
    // ECDSA with SHA-256, made by openssl.
    const std::string curve =
        "-----BEGIN PUBLIC KEY-----\n"
        "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE4oz4rWEt+HaGD63yrFoB7R0CgXAp\n"
        "EyJ4l/BFFQzH8Q9tb1/gfeZ9yX9GpeFCmsQu1U+DRGmo+/tYoBk8TAZpEw==\n"
        "-----END PUBLIC KEY-----\n";
    const auto signature =
        from_base64("MEUCIQCDWyz2R1SNr7/9o2792QVdIPpvQxvjqTRqN+inh9WZVQIgE2mONmETpm4DHsY3d6MdBD1JcxQ8R+sfGPh4CRKI9fA=");
    EXPECT_FALSE(verify_rs256(curve, "message", signature.value()));
}

TEST(Rs256, a_key_that_can_not_be_read_is_invalid) {
    // Made by openssl: an elliptic curve key, and an RSA key under a pass phrase.
    const std::string curve =
        "-----BEGIN PRIVATE KEY-----\n"
        "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgUOFH6aGLO/T1nvpU\n"
        "nNLk3SzpoBX5rHuJa8c1R4Gv/NKhRANCAAQ83JI7B+UFKFK5mi8rHcxEjqb0QZdb\n"
        "BBvRRbtspoioNJSpArI1b4LHtf5+J6/t/d2qyyIstzvj3qKGb5Jg+wPP\n"
        "-----END PRIVATE KEY-----\n";
    const std::string locked =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\n"
        "MIIBvTBXBgkqhkiG9w0BBQ0wSjApBgkqhkiG9w0BBQwwHAQICEgbm3k2swgCAggA\n"
        "MAwGCCqGSIb3DQIJBQAwHQYJYIZIAWUDBAEqBBAsF8DDnHMwAXYBi7M+sNzHBIIB\n"
        "YBaZVb35UMHrUDxlHvpT00GcFpPbNDZjMgjQLhThJNMBIotLYft0D7meh1ujOaQI\n"
        "lJO77PY8ypUBVd5EUWbDvzYiiGX3Q4PkNsNrKFHlp/tzdrt1AFqnvmoRlBl6/Ltg\n"
        "K4X0HKuTLojdRt8K6YW2cAXr4aaMGiPrwsml4idK0zvq/83dL2rw1ZadZycDvHYy\n"
        "UE3gSWXelL00HV2Y2/rxKBXnfp4vnZzqRrwO/yUi6gSZDPipVmzNrLbbh0v+jx/C\n"
        "baKovchtbjUCGIPsOz7P5a3te6zYMqet8Z1U0NWlAScnxFvDv60ahyq5nrT5T4Pl\n"
        "pb9EUUWuru8RoQCPqOXV5eQZoLlL5ziKePQtF45V/SvCI7R+tx3dvd01VQWrdA+l\n"
        "VMm+nJiWaDk2CH4wDhvJ2uE8M6MiwoiaHnrRUwJh695A3geTJjxqiJzsbHPhwQYl\n"
        "8TgB3sfTCu6OWRVF9HerF1U=\n"
        "-----END ENCRYPTED PRIVATE KEY-----\n";
    for (const std::string& pem :
         {std::string(), std::string("no key"), make_rsa_key_pair().public_pem, curve, locked}) {
        const Result<std::string> signature = sign_rs256(pem, "message");
        ASSERT_FALSE(signature.ok()) << pem;
        EXPECT_EQ(signature.error().kind, Kind::Invalid);
        EXPECT_EQ(signature.error().hint, "give an RSA key in PEM form, without a pass phrase");
    }
}

}  // namespace
}  // namespace lockstep
