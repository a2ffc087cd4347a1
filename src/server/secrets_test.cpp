#include "server/secrets.h"

#include <gtest/gtest.h>

#include <fstream>
#include <memory>
#include <sstream>

#include "tests/support/process.h"

namespace lockstep::server {
namespace {

using salesforce::Credentials;

struct SecretsTest : testing::Test {
    support::TempFolder folder;
    ManualClock clock{Timestamp{1'800'000'000}};
    std::unique_ptr<Random> random = seeded_random(1);
    World world{clock, *random};
    std::unique_ptr<store::Database> db = store::Database::open((folder.path() / "lockstep.db").string(), world);

    MasterKey key(const char* name) { return MasterKey::open_or_create(folder.path() / name).value(); }
};

const Credentials kCredentials{.method = Credentials::Method::JwtBearer,
                               .login_url = "https://acme.my.salesforce.com",
                               .client_id = "3MVG9",
                               .client_secret = "secret-of-the-client",
                               .username = "sync@acme.com",
                               .private_key_pem = "-----BEGIN PRIVATE KEY-----\nx\n"};

TEST_F(SecretsTest, credentials_come_back_as_they_were_stored) {
    const MasterKey master = key("master.key");
    EXPECT_FALSE(Secrets(*db, master).credentials().value().has_value());
    Secrets(*db, master).save(kCredentials);
    const auto found = Secrets(*db, master).credentials().value();
    ASSERT_TRUE(found.has_value());
    EXPECT_EQ(found->method, kCredentials.method);
    EXPECT_EQ(found->login_url, kCredentials.login_url);
    EXPECT_EQ(found->client_id, kCredentials.client_id);
    EXPECT_EQ(found->client_secret, kCredentials.client_secret);
    EXPECT_EQ(found->username, kCredentials.username);
    EXPECT_EQ(found->private_key_pem, kCredentials.private_key_pem);
}

TEST_F(SecretsTest, a_token_survives_its_process_and_is_gone_when_forgotten) {
    const MasterKey master = key("master.key");
    Secrets(*db, master)
        .save(salesforce::Token{.access_token = "00D!x",
                                .instance_url = "https://acme.my.salesforce.com",
                                .identity_url = "https://login.salesforce.com/id/00D/005",
                                .issued_at = {1'800'000'000}});
    const auto token = Secrets(*db, master).load();
    ASSERT_TRUE(token.has_value());
    EXPECT_EQ(token->access_token, "00D!x");
    EXPECT_EQ(token->instance_url, "https://acme.my.salesforce.com");
    EXPECT_EQ(token->identity_url, "https://login.salesforce.com/id/00D/005");
    EXPECT_EQ(token->issued_at, Timestamp{1'800'000'000});
    Secrets(*db, master).forget();
    EXPECT_FALSE(Secrets(*db, master).load().has_value());
}

TEST_F(SecretsTest, another_key_opens_neither_credentials_nor_token) {
    const MasterKey master = key("master.key");
    const MasterKey other = key("other.key");
    Secrets(*db, master).save(kCredentials);
    Secrets(*db, master).save(salesforce::Token{.access_token = "00D!x"});
    const auto refused = Secrets(*db, other).credentials();
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().kind, Kind::Denied);
    EXPECT_FALSE(refused.error().hint.empty());
    EXPECT_FALSE(Secrets(*db, other).load().has_value());
}

TEST_F(SecretsTest, forgetting_all_leaves_nothing_to_open) {
    const MasterKey master = key("master.key");
    Secrets secrets(*db, master);
    secrets.save(kCredentials);
    secrets.save(salesforce::Token{.access_token = "00D!x"});
    Secrets::forget_all(*db);
    EXPECT_FALSE(secrets.credentials().value().has_value());
    EXPECT_FALSE(secrets.load().has_value());
}

TEST_F(SecretsTest, no_file_of_the_folder_holds_the_secret_in_the_clear) {
    const MasterKey master = key("master.key");
    Secrets(*db, master).save(kCredentials);
    int files = 0;
    for (const auto& entry : std::filesystem::directory_iterator(folder.path())) {
        std::stringstream text;
        text << std::ifstream(entry.path(), std::ios::binary).rdbuf();
        EXPECT_EQ(text.str().find(kCredentials.client_secret), std::string::npos) << entry.path();
        ++files;
    }
    EXPECT_GE(files, 2);
}

}  // namespace
}  // namespace lockstep::server
